import {
  ApartmentOutlined,
  ApiOutlined,
  AuditOutlined,
  ContactsOutlined,
  DesktopOutlined,
  KeyOutlined,
  MenuFoldOutlined,
  MenuUnfoldOutlined,
  SearchOutlined,
  TeamOutlined,
  UserOutlined,
  VideoCameraOutlined,
} from "@ant-design/icons";
import { Link, Outlet, useRouteContext, useRouter, useRouterState } from "@tanstack/react-router";
import { Button, Popover } from "antd";
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Me } from "../api/types";
import { focusContent, typing } from "./keyboard";
import { useStored } from "./store";

const UserMenu = lazy(() => import("./user-menu").then((module) => ({ default: module.UserMenu })));
const Help = lazy(() => import("./help").then((module) => ({ default: module.Help })));
const Palette = lazy(() => import("./palette").then((module) => ({ default: module.Palette })));

/** The frame of every page: navigation on the left, the page on the right. */
export function Shell() {
  const { t } = useTranslation();
  const { me } = useRouteContext({ from: "/app" });
  const [collapsed, setCollapsed] = useStored("playhead.nav", (stored) => stored === true);
  const [palette, setPalette] = useState(false);
  const [userMenu, setUserMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const router = useRouter();
  const close = useCallback(() => setPalette(false), []);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented) return;
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette((open) => !open);
      } else if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) {
        return;
      } else if (event.key === "/") {
        event.preventDefault();
        setPalette(true);
      } else if (event.key === "?" && !isPlayer(router.state.location.pathname)) {
        event.preventDefault();
        setHelp(true);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [router]);

  // What had the focus went with its page: the next Tab goes on in the new one, not before the navigation.
  const page = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  const shown = useRef(page);
  useEffect(() => {
    if (shown.current && shown.current !== page && document.activeElement === document.body) focusContent();
    shown.current = page;
  }, [page]);

  return (
    <div className={collapsed ? "shell shell-collapsed" : "shell"}>
      <a className="skip-link" href="#content">
        {t("common.skip")}
      </a>
      <nav className="nav" aria-label={t("nav.label")}>
        <div className="nav-top">
          <Link to="/" className="brand" aria-label={t("product")}>
            <img src="/favicon.svg" alt="" width={24} height={24} />
            <span>{t("product")}</span>
          </Link>
        </div>
        <button
          type="button"
          className="nav-item nav-search"
          aria-keyshortcuts="Control+K"
          aria-label={collapsed ? t("nav.search") : undefined}
          onClick={() => setPalette(true)}
        >
          <SearchOutlined />
          <span className="nav-text">{t("nav.search")}</span>
          <kbd className="nav-text" aria-hidden>
            Ctrl K
          </kbd>
        </button>
        <Navigation me={me} />
        <div className="nav-bottom">
          <Popover
            trigger="click"
            placement="rightBottom"
            open={userMenu}
            onOpenChange={setUserMenu}
            content={
              <Suspense fallback={null}>
                <UserMenu me={me} onDone={() => setUserMenu(false)} />
              </Suspense>
            }
          >
            <button type="button" className="nav-item" aria-label={t("nav.userMenu", { user: me.user })}>
              <UserOutlined />
              <span className="nav-text nav-user">{me.user}</span>
            </button>
          </Popover>
          <Button
            type="text"
            className="nav-fold"
            aria-label={collapsed ? t("nav.expand") : t("nav.collapse")}
            aria-expanded={!collapsed}
            icon={collapsed ? <MenuUnfoldOutlined /> : <MenuFoldOutlined />}
            onClick={() => setCollapsed(!collapsed)}
          />
        </div>
      </nav>
      <main id="content" className="content" tabIndex={-1}>
        <Outlet />
      </main>
      {palette ? (
        <Suspense fallback={null}>
          <Palette me={me} onClose={close} />
        </Suspense>
      ) : null}
      {help ? (
        <Suspense fallback={null}>
          <Help onClose={() => setHelp(false)} />
        </Suspense>
      ) : null}
    </div>
  );
}

/** The player has keys, and a list of them, of its own. */
function isPlayer(path: string): boolean {
  return /^\/recordings\/./.test(path);
}

function Navigation({ me }: { me: Me }) {
  const { t } = useTranslation();
  const mayList = me.permissions.includes("list-recordings");
  const maySites = me.permissions.includes("view-sites");
  return (
    <div className="nav-pages">
      {mayList ? (
        <Link
          to="/recordings"
          search={{}}
          className="nav-item"
          activeOptions={{ includeSearch: false }}
          aria-label={t("nav.recordings")}
          title={t("nav.recordings")}
        >
          <VideoCameraOutlined />
          <span className="nav-text">{t("nav.recordings")}</span>
        </Link>
      ) : null}
      {me.permissions.includes("view-sessions") ? (
        <Link
          to="/sessions"
          search={{}}
          className="nav-item"
          activeOptions={{ includeSearch: false }}
          aria-label={t("nav.sessions")}
          title={t("nav.sessions")}
        >
          <TeamOutlined />
          <span className="nav-text">{t("nav.sessions")}</span>
        </Link>
      ) : null}
      {me.permissions.includes("view-policies") ? (
        <Link
          to="/policies"
          search={{}}
          className="nav-item"
          activeOptions={{ includeSearch: false }}
          aria-label={t("nav.policies")}
          title={t("nav.policies")}
        >
          <AuditOutlined />
          <span className="nav-text">{t("nav.policies")}</span>
        </Link>
      ) : null}
      {maySites ? (
        <>
          <div className="nav-group nav-text">{t("nav.configuration")}</div>
          <Link to="/sites" className="nav-item" aria-label={t("nav.sites")} title={t("nav.sites")}>
            <ApartmentOutlined />
            <span className="nav-text">{t("nav.sites")}</span>
          </Link>
          <Link
            to="/session-hosts"
            search={{}}
            className="nav-item"
            activeOptions={{ includeSearch: false }}
            aria-label={t("nav.hosts")}
            title={t("nav.hosts")}
          >
            <DesktopOutlined />
            <span className="nav-text">{t("nav.hosts")}</span>
          </Link>
        </>
      ) : null}
      {me.permissions.includes("manage-sites") ? (
        <Link to="/join-tokens" className="nav-item" aria-label={t("nav.tokens")} title={t("nav.tokens")}>
          <KeyOutlined />
          <span className="nav-text">{t("nav.tokens")}</span>
        </Link>
      ) : null}
      {me.permissions.includes("manage-api-clients") ? (
        <Link to="/clients" className="nav-item" aria-label={t("nav.clients")} title={t("nav.clients")}>
          <ApiOutlined />
          <span className="nav-text">{t("nav.clients")}</span>
        </Link>
      ) : null}
      {me.permissions.includes("manage-directories") ? (
        <Link
          to="/directories"
          className="nav-item"
          aria-label={t("nav.directories")}
          title={t("nav.directories")}
        >
          <ContactsOutlined />
          <span className="nav-text">{t("nav.directories")}</span>
        </Link>
      ) : null}
    </div>
  );
}
