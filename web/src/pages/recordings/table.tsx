import { CaretDownOutlined, CaretUpOutlined } from "@ant-design/icons";
import { useNavigate, useRouter } from "@tanstack/react-router";
import type { MouseEvent } from "react";
import { useTranslation } from "react-i18next";
import type { Me, Recording } from "../../api/types";
import { ActionsHead } from "../../app/actions-head";
import { useZone } from "../../app/zone";
import { Actions, mayAct } from "./actions";
import { Cell, type Column, LONG, NUMBERS, SORT_OF, wholeText } from "./columns";
import { DEFAULT_SORT, nextSort, type Sort } from "./search";

interface Props {
  items: Recording[];
  me: Me;
  columns: readonly Column[];
  compact: boolean;
  sort: Sort | undefined;
  onSort: (sort: Sort) => void;
  /** What is shown belongs to the question before; the answer is on its way. */
  stale: boolean;
}

export function RecordingsTable({ items, me, columns, compact, sort, onSort, stale }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const router = useRouter();

  // The whole row is a target for the mouse; the link in its first cell is the one for keyboards and new tabs.
  const open = (event: MouseEvent, id: string) => {
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || event.button !== 0 || target.closest("a, button, dialog")) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || window.getSelection()?.toString()) return;
    void navigate({ to: "/recordings/$id", params: { id }, search: {} });
  };
  const preload = (id: string) =>
    void router.preloadRoute({ to: "/recordings/$id", params: { id }, search: {} });

  return (
    <div className="table-frame" aria-busy={stale} data-testid="recordings">
      <table className={compact ? "table table-compact" : "table"}>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeadCell key={column} column={column} sort={sort ?? DEFAULT_SORT} onSort={onSort} />
            ))}
            {mayAct(me) ? <ActionsHead /> : null}
          </tr>
        </thead>
        <tbody>
          {items.map((recording) => (
            <tr
              key={recording.id}
              className="row-link"
              data-id={recording.id}
              data-state={recording.state}
              onClick={(event) => open(event, recording.id)}
              onMouseEnter={() => preload(recording.id)}
            >
              {columns.map((column) => (
                <td key={column} className={look(column)} title={wholeText(column, recording)}>
                  <Cell column={column} recording={recording} />
                </td>
              ))}
              {mayAct(me) ? (
                <td className="actions">
                  <Actions recording={recording} me={me} />
                </td>
              ) : null}
            </tr>
          ))}
        </tbody>
      </table>
      <span className="visually-hidden" aria-live="polite">
        {stale ? t("common.loading") : ""}
      </span>
    </div>
  );
}

function look(column: Column): string | undefined {
  return NUMBERS.has(column) ? "number" : LONG.has(column) ? `long column-${column}` : undefined;
}

function HeadCell({ column, sort, onSort }: { column: Column; sort: Sort; onSort: (sort: Sort) => void }) {
  const { t } = useTranslation();
  const zone = useZone();
  const name = t(`recordings.column.${column}`);
  // Times of another zone than one's own must not be taken for one's own.
  const label = column === "started" && zone ? `${name} (${zone})` : name;
  const key = SORT_OF[column];
  const number = look(column);
  if (!key) {
    return (
      <th scope="col" className={number}>
        {label}
      </th>
    );
  }
  const direction = sort === key ? "ascending" : sort === `-${key}` ? "descending" : undefined;
  return (
    <th scope="col" className={number} aria-sort={direction}>
      <button
        type="button"
        className="sort"
        title={t("recordings.sortBy", { column: label })}
        onClick={() => onSort(nextSort(sort, key))}
      >
        {label}
        {direction === "ascending" ? <CaretUpOutlined /> : null}
        {direction === "descending" ? <CaretDownOutlined /> : null}
      </button>
    </th>
  );
}
