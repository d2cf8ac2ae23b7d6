/**
 * The part of the page that is shown, kept in the address behind `#`, so that a reload and the back button keep it.
 */

import { Signal } from "./signal.js";

/** @typedef {{view: "connections" | "events" | "machine" | "server" | "nodes" | "findings", conn: ConnName | null, tab: string}} Route */

const VIEWS = /** @type {const} */ (["connections", "events", "machine", "server", "nodes", "findings"]);
export const TABS = /** @type {const} */ (["transcript", "kernel", "faults"]);

/** @returns {Route} */
function read() {
  const [, view, conn, tab] = /^\/([^/]*)(?:\/(\d+(?:\/\d+)?))?(?:\/(.*))?$/.exec(location.hash.slice(1)) ?? [];
  return {
    view: VIEWS.find((name) => name === view) ?? "connections",
    conn: view === "connections" && conn ? (conn.includes("/") ? conn : Number(conn)) : null,
    tab: TABS.find((name) => name === tab) ?? "transcript",
  };
}

/** @type {Signal<Route>} */
export const route = new Signal(read());

for (const moved of ["hashchange", "popstate"]) {
  addEventListener(moved, () => {
    if (location.hash.startsWith("#/") || !location.hash) refresh();
  });
}

/** @param {Partial<Route>} change */
export function go(change) {
  const { view, conn, tab } = { ...route.value, ...change };
  const parts = view === "connections" && conn !== null ? [view, conn, tab] : [view];
  history.pushState(null, "", `#/${parts.join("/")}`);
  route.value = read();
}

/** @param {ConnName} conn */
export const linkTo = (conn) => `#/connections/${conn}`;

/** Read the address again. */
export function refresh() {
  const now = read();
  if (JSON.stringify(now) !== JSON.stringify(route.value)) route.value = now;
}
