import { SettingOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Link, useLocation, useNavigate, useRouteContext, useSearch } from "@tanstack/react-router";
import { Button, Popover } from "antd";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { asApiError } from "../../api/problem";
import { recordingsQuery } from "../../api/queries";
import type { Me, RecordingPage } from "../../api/types";
import { Choose } from "../../app/choose";
import { useListKeys } from "../../app/list-keys";
import { Command, EmptyState, ErrorState, PartialNotice, SkeletonRows, StaleNotice } from "../../app/states";
import { useStored } from "../../app/store";
import { useTitle } from "../../app/title";
import { useZone } from "../../app/zone";
import { count } from "../../format/numbers";
import { readColumns } from "./columns";
import { Filters } from "./filters";
import "./recordings.css";
import { changed, DEFAULT_SIZE, filtered, type ListSearch, listQuery, PAGE_SIZES } from "./search";
import { RecordingsTable } from "./table";

const TableSettings = lazy(() =>
  import("./table-settings").then((module) => ({ default: module.TableSettings })),
);

export function RecordingsPage() {
  const { t } = useTranslation();
  useTitle(t("recordings.title"));
  const { me } = useRouteContext({ from: "/app" });
  const search = useSearch({ from: "/app/recordings" });
  const navigate = useNavigate({ from: "/recordings" });
  const minute = useMinute();
  const zone = useZone();
  const list = useQuery(recordingsQuery(listQuery(search, minute)));
  const [columns, setColumns] = useStored("playhead.columns", readColumns);
  const page = useRef<HTMLDivElement>(null);
  useListKeys({ list: page, filters: page });
  const [compact, setCompact] = useStored("playhead.compact", (stored) => stored === true);

  const change = (part: Partial<ListSearch>) =>
    void navigate({ search: changed(search, part), replace: true });
  const clear = () =>
    void navigate({ search: changed({ sort: search.sort, size: search.size }, {}), replace: true });

  // A place in the list that the console does not know (any more) is no better at the second try.
  const retry = () => {
    if (search.cursor && asApiError(list.error).status === 400) change({});
    else void list.refetch();
  };

  return (
    <div className="page recordings" ref={page}>
      <header className="page-head">
        <div>
          <h1>{t("recordings.title")}</h1>
          <p className="quiet">{t("recordings.about")}</p>
        </div>
        <Popover
          trigger="click"
          placement="bottomRight"
          content={
            <Suspense fallback={null}>
              <TableSettings
                columns={columns}
                onColumns={setColumns}
                compact={compact}
                onCompact={setCompact}
              />
            </Suspense>
          }
        >
          <Button icon={<SettingOutlined />}>{t("recordings.columns")}</Button>
        </Popover>
      </header>
      <Filters
        zone={zone}
        search={search}
        maySeeSites={me.permissions.includes("view-sites")}
        onChange={change}
        onClear={clear}
      />
      {list.data ? <PartialNotice problems={list.data.problems} /> : null}
      {list.isError && (!list.data || !asApiError(list.error).passing || list.isPlaceholderData) ? (
        <ErrorState error={list.error} onRetry={retry} />
      ) : list.data ? (
        <>
          {list.isError ? <StaleNotice /> : null}
          {list.data.items.length > 0 ? (
            <RecordingsTable
              items={list.data.items}
              me={me}
              columns={columns}
              compact={compact}
              sort={search.sort}
              onSort={(sort) => change({ sort })}
              stale={list.isPlaceholderData}
            />
          ) : (
            <Nothing search={search} me={me} onClear={clear} />
          )}
          {list.data.items.length > 0 || search.cursor ? (
            <Paging search={search} page={list.data} onSize={(size) => change({ size })} />
          ) : null}
        </>
      ) : (
        <SkeletonRows rows={10} />
      )}
    </div>
  );
}

function Nothing({ search, me, onClear }: { search: ListSearch; me: Me; onClear: () => void }) {
  const { t } = useTranslation();
  if (filtered(search) || search.cursor) {
    return (
      <EmptyState title={t("recordings.noMatchTitle")}>
        <p className="quiet">{t("recordings.noMatch")}</p>
        <div className="state-actions">
          <Button type="primary" onClick={onClear}>
            {t("recordings.clear")}
          </Button>
        </div>
      </EmptyState>
    );
  }
  return (
    <EmptyState title={t("recordings.emptyTitle")}>
      <p>{t("recordings.empty")}</p>
      <Command text="playhead demo" />
      {me.permissions.includes("manage-sites") ? (
        <p>
          {t("recordings.emptyOr")}{" "}
          <Link to="/session-hosts" search={{ add: "1" }}>
            {t("recordings.addHost")}
          </Link>
        </p>
      ) : null}
    </EmptyState>
  );
}

interface PagingProps {
  search: ListSearch;
  page: RecordingPage;
  onSize: (size: (typeof PAGE_SIZES)[number]) => void;
}

/** Previous and next. The cursors of earlier pages travel in the history entry, the current one in the address. */
function Paging({ search, page, onSize }: PagingProps) {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/recordings" });
  const trail = useLocation({ select: (location) => location.state.trail }) ?? [];
  const go = (cursor: string | undefined, next: string[]) =>
    void navigate({
      search: { ...search, cursor },
      state: (state) => ({ ...state, trail: next }),
    });
  return (
    <nav className="paging" aria-label={t("recordings.paging")}>
      <span className="quiet" data-testid="total">
        {t("recordings.total", {
          count: page.total.value,
          value: count(page.total.value, page.total.exact),
        })}
      </span>
      <span className="paging-gap" />
      <Choose
        label={t("recordings.pageSize")}
        value={search.size ?? DEFAULT_SIZE}
        options={PAGE_SIZES.map((size) => ({ value: size, label: t("recordings.perPage", { count: size }) }))}
        onChange={onSize}
      />
      <Button disabled={!search.cursor} onClick={() => go(trail.at(-1), trail.slice(0, -1))}>
        {t("recordings.previous")}
      </Button>
      {search.cursor || page.next ? (
        <span className="quiet">{t("recordings.page", { page: search.cursor ? trail.length + 2 : 1 })}</span>
      ) : null}
      <Button
        disabled={!page.next}
        onClick={() => page.next && go(page.next, search.cursor ? [...trail, search.cursor] : [])}
      >
        {t("recordings.next")}
      </Button>
    </nav>
  );
}

/** The time, changing once a minute, for ranges such as the last hour. */
function useMinute(): number {
  const [minute, setMinute] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setMinute(Date.now()), 60_000);
    return () => clearInterval(timer);
  }, []);
  return minute;
}
