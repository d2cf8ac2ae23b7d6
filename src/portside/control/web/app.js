/**
 * The page: puts the parts together and asks the server once a second for what is in view.
 */

import * as acts from "./acts.js";
import { ConnectionList } from "./connection-list.js";
import { ConnectionView } from "./connection-view.js";
import { byId, setText } from "./dom.js";
import { EventList } from "./event-list.js";
import * as findings from "./findings.js";
import { FindingsView } from "./findings-view.js";
import * as header from "./header.js";
import * as keyboard from "./keyboard.js";
import { socketList } from "./machine.js";
import { nodeList } from "./nodes.js";
import { done, undoNewest } from "./notices.js";
import { go, refresh as readAddress, route } from "./routes.js";
import * as server from "./server-state.js";
import { ServerView } from "./server-view.js";
import * as theme from "./theme.js";
import * as token from "./token.js";

const TICK_MS = 1000;

if (token.takeFromAddress()) readAddress();

const views = {
  connections: byId("connections", HTMLElement),
  events: byId("events", HTMLElement),
  machine: byId("machine", HTMLElement),
  server: byId("server", HTMLElement),
  nodes: byId("nodes", HTMLElement),
  findings: byId("findings", HTMLElement),
};
const list = new ConnectionList(byId("list", HTMLElement));
const view = new ConnectionView(byId("detail", HTMLElement));
const machine = socketList(views.machine);
const nodes = nodeList(views.nodes);
const whole = new ServerView(views.server);
const events = new EventList(views.events, () => void tick());
const found = new FindingsView(views.findings);
const tokenForm = byId("token-form", HTMLFormElement);

/** The views that a fleet, or a server, has not, and what it has in their place.
 * @type {Record<string, Partial<Record<typeof route.value.view, string>>>} */
const INSTEAD = { fleet: { connections: "machine", server: "nodes" }, server: { nodes: "server" } };

/** @type {string} */
let started = "";
let timer = 0;
let ticking = false;

/** Ask for everything that is in view, then again in a second. */
async function tick() {
  if (ticking) return;
  ticking = true;
  clearTimeout(timer);
  const begun = performance.now();
  if (await server.ask()) {
    connectStreams();
    void findings.ask(route.value.view === "findings");
    await refresh();
  }
  ticking = false;
  if (server.reach.value === "refused" || document.hidden) return;
  timer = setTimeout(tick, Math.max(100, TICK_MS - (performance.now() - begun)));
}

function connectStreams() {
  const now = `${server.facts.value?.pid} ${server.facts.value?.started}`;
  if (started && started !== now) {
    done("The server was started again: connections and events are those of the new one");
    events.restart();
    findings.take(null);
    view.restart();
  }
  started = now;
  events.stream.open();
  view.transcript.reopen();
}

async function refresh() {
  const { view: shown, conn } = route.value;
  if (shown === "machine") await machine.table.refresh();
  if (shown === "nodes") await nodes.table.refresh();
  if (shown === "server") await quietly(whole.refresh());
  if (shown !== "connections") return;
  await Promise.all([list.table.element.offsetParent ? list.table.refresh() : null, conn === null ? null : view.refresh()]);
}

/**
 * Wait for an answer; that none came shows in the next second anyway.
 * @param {Promise<unknown>} asked
 */
const quietly = (asked) => asked.catch(() => {});

/** @type {ConnName | null} */
let shownConn = null;

/**
 * Where one view takes the place of the other, the focus goes along.
 * @param {ConnName | null} conn
 */
function moveFocus(conn) {
  const before = shownConn;
  shownConn = conn;
  const lost = document.activeElement === document.body || !(document.activeElement instanceof HTMLElement) || !document.activeElement.offsetParent;
  if (conn !== null && conn !== before && !list.table.root.offsetParent) view.focus();
  else if (conn === null && before !== null && lost) list.table.root.focus();
}

function showRoute() {
  const { view: shown, conn } = route.value;
  const instead = INSTEAD[server.facts.value?.nodes ? "fleet" : "server"]?.[shown];
  if (server.facts.value && instead) {
    history.replaceState(null, "", `#/${instead}`);
    readAddress();
    return;
  }
  for (const [name, section] of Object.entries(views)) section.hidden = name !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${shown}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  views.connections.classList.toggle("with-detail", conn !== null && shown === "connections");
  list.table.markOpen(conn === null ? "" : String(conn));
  if (server.reach.value !== "live") return;
  view.follow();
  moveFocus(conn);
  if (shown === "events") events.show();
  if (shown === "findings") {
    found.show();
    void findings.ask(true);
  }
  if (shown !== "connections") void refresh();
}

server.reach.follow((reach) => {
  const refused = reach === "refused";
  byId("token-main", HTMLElement).hidden = !refused;
  byId("console", HTMLElement).hidden = refused;
  document.body.classList.toggle("no-server", refused);
  if (refused) {
    const given = token.stored();
    setText(byId("token-error", HTMLElement), given ? "The server does not take this token. A server that was started again has printed a new link." : "");
    byId("token", HTMLInputElement).focus();
  }
  if (reach === "live") showRoute();
});

server.facts.follow((facts) => {
  document.body.classList.toggle("read-only", Boolean(facts?.read_only));
  document.body.classList.toggle("several", Boolean(facts?.servers));
  document.body.classList.toggle("fleet", Boolean(facts?.nodes));
  const link = document.querySelector('[href="#/machine"]');
  if (facts?.nodes && link) setText(link, "Connections");
});

tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  token.keep(byId("token", HTMLInputElement).value);
  void tick();
});

addEventListener("hashchange", () => {
  if (!token.takeFromAddress()) return;
  readAddress();
  void tick();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void tick();
});

route.follow(showRoute);
acts.after.act = () => void refresh();

byId("theme", HTMLButtonElement).addEventListener("click", theme.toggle);
byId("keys", HTMLButtonElement).addEventListener("click", keyboard.help);
byId("skip", HTMLAnchorElement).addEventListener("click", (event) => {
  event.preventDefault();
  byId("main", HTMLElement).focus();
});

const detailKey = (/** @type {() => void} */ act) => () => {
  if (route.value.conn !== null) act();
};
const listOfView = () => (route.value.view === "machine" ? machine : route.value.view === "nodes" ? nodes : list);

keyboard.define("Everywhere", [
  ["?", "These keys", keyboard.help],
  ["1", "Connections", () => go({ view: "connections", conn: null })],
  ["2", "Events", () => go({ view: "events" })],
  ["3", "This machine", () => go({ view: "machine" })],
  ["4", "The server as a whole", () => go({ view: "server" })],
  ["5", "Findings: what is wrong", () => go({ view: "findings" })],
  ["d", "Dark or light", theme.toggle],
  ["u", "Undo the newest act", undoNewest],
  ["Escape", "Back: leave a field, then close the connection's view", escape],
]);
keyboard.define("Table", [
  ["/", "Filter", () => listOfView().filter.focus()],
  ["j", "Next row (also ↓)", () => listOfView().table.move(1)],
  ["k", "Row before (also ↑)", () => listOfView().table.move(-1)],
  ["Enter", "Open the row", () => listOfView().table.openCursor()],
  ["o", "Open, closed or all connections", () => list.nextState()],
  ["c", "Choose columns", () => void list.chooseColumns()],
]);
keyboard.define("One connection", [
  ["[", "Tab before", detailKey(() => view.nextTab(-1))],
  ["]", "Next tab", detailKey(() => view.nextTab(1))],
  ["s", "Send", detailKey(() => { go({ tab: "transcript" }); view.sendBox.focus(); })],
  ["F", "Search the transcript", detailKey(() => { go({ tab: "transcript" }); view.transcript.search.focus(); })],
  ["f", "New fault", detailKey(() => { go({ tab: "faults" }); view.faults.focus(); })],
  ["p", "Pause or resume", detailKey(() => void view.act(acts.pauseOrResume))],
  ["t", "Throttle", detailKey(() => void view.act(acts.throttle))],
  ["h", "Half-close", detailKey(() => void view.act((one) => acts.close(one, "half")))],
  ["x", "Close", detailKey(() => void view.act((one) => acts.close(one, "fin")))],
  ["X", "Reset", detailKey(() => void view.act((one) => acts.close(one, "reset")))],
]);

function escape() {
  const at = document.activeElement;
  if (at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement) {
    at.blur();
    return;
  }
  if (route.value.conn !== null) {
    go({ conn: null });
    list.table.root.focus();
  }
}

header.start();
showRoute();
if (token.stored()) void tick();
else server.reach.value = "refused";
