/**
 * The columns of the connections: what a cell shows, by which name the server sorts, which fields it needs.
 */

import * as format from "./format.js";
import { oneLine } from "./payload.js";

/** @typedef {Column<ConnectionItem> & {fields: string[], shown: number}} ConnectionColumn */

/**
 * A fact of the kernel.
 * @param {ConnectionItem} connection
 * @param {string} name
 */
function fact(connection, name) {
  const value = connection.kernel?.[name];
  return typeof value === "number" ? value : null;
}

/** Whether it is an operator who keeps the server from reading. */
export const isPaused = (/** @type {{holds: string[]}} */ { holds }) => holds.includes("operator");

const STATES = { open: "open", half_closed: "half-closed by peer", eof_sent: "half-closed", closing: "closing", closed: "closed" };

/** @param {Connection | ConnectionItem} connection */
export function stateText(connection) {
  if (connection.state === "closed") return format.words(connection.reason ?? "closed");
  return isPaused(connection) ? "paused" : STATES[connection.state];
}

/** @param {Connection | ConnectionItem} connection */
export function stateTone(connection) {
  if (connection.state === "closed") return "closed";
  return isPaused(connection) ? "held" : "open";
}

/** @param {{pid: number, program: string | null}[] | null | undefined} owners */
export function programs(owners) {
  return owners?.length ? owners.map(({ pid, program }) => `${pid}/${oneLine(program ?? "-")}`).join(", ") : format.UNKNOWN;
}

/** @param {unknown} value */
const text = (value) => (typeof value === "string" && value ? oneLine(value) : "");

/**
 * `shown` is the least width of the table, in pixels, at which the column is shown unless the reader has chosen.
 * @type {ConnectionColumn[]}
 */
export const COLUMNS = [
  { id: "conn", heading: "#", title: "Number of the connection", width: "minmax(var(--conn-width, 3.6rem), auto)", sort: "conn", number: true, data: true, fields: ["conn"], shown: 0, text: (c) => String(c.conn) },
  { id: "peer", heading: "Peer", title: "Address of the client", width: "minmax(11rem, 2fr)", sort: "peer", data: true, fields: ["peer"], shown: 0, text: (c) => c.peer },
  { id: "state", heading: "State", title: "Open, paused, half-closed, or why it closed", width: "minmax(6.4rem, 0.8fr)", sort: "state", fields: ["state", "reason", "holds"], shown: 0, text: stateText, tone: stateTone },
  { id: "received", heading: "Received", title: "Bytes from the client", width: "5.4rem", sort: "received", number: true, fields: ["received"], shown: 420, text: (c) => format.size(c.received) },
  { id: "sent", heading: "Sent", title: "Bytes to the client", width: "4.6rem", sort: "sent", number: true, fields: ["sent"], shown: 480, text: (c) => format.size(c.sent) },
  { id: "recvq", heading: "Recv-Q", title: "Bytes that the kernel has and Portside has not read", width: "4.8rem", sort: "recvq", number: true, fields: ["kernel.recv_q"], shown: 620, text: (c) => format.size(fact(c, "recv_q")), tone: (c) => (fact(c, "recv_q") ? "loud" : "") },
  { id: "sendq", heading: "Send-Q", title: "Bytes that the client has not acknowledged", width: "4.8rem", sort: "sendq", number: true, fields: ["kernel.send_q"], shown: 620, text: (c) => format.size(fact(c, "send_q")), tone: (c) => (fact(c, "send_q") ? "loud" : "") },
  { id: "idle", heading: "Idle", title: "Time since the last byte", width: "4.4rem", sort: "idle", number: true, fields: ["idle"], shown: 540, text: (c) => (c.state === "closed" ? "" : format.duration(c.idle)) },
  { id: "age", heading: "Age", title: "Time since it was accepted", width: "4.6rem", sort: "age", number: true, fields: ["age"], shown: 760, text: (c) => format.duration(c.age) },
  { id: "rtt", heading: "RTT", title: "Round trip time, smoothed", width: "4.8rem", sort: "rtt", number: true, fields: ["kernel.rtt_us"], shown: 860, text: (c) => format.microseconds(fact(c, "rtt_us")) },
  { id: "retrans", heading: "Retrans", title: "Segments sent again", width: "4.8rem", sort: "retrans", number: true, fields: ["kernel.retrans_total"], shown: 960, text: (c) => format.count(fact(c, "retrans_total")), tone: (c) => (fact(c, "retrans_total") ? "loud" : "") },
  { id: "note", heading: "Note", title: "Your note and tags", width: "minmax(8rem, 1.4fr)", sort: "note", fields: ["note", "tags"], shown: 1040, text: (c) => [text(c.note), ...(c.tags ?? []).map((tag) => `#${oneLine(tag)}`)].filter(Boolean).join(" ") },
  { id: "program", heading: "Program", title: "Who holds the client's end, if it is on this machine", width: "minmax(8rem, 1fr)", sort: "program", fields: ["owners"], shown: 1200, text: (c) => programs(c.owners) },
  { id: "local", heading: "Local", title: "Address that the client connected to", width: "minmax(10rem, 1fr)", sort: "local", data: true, fields: ["local"], shown: 9999, text: (c) => c.local },
  { id: "faults", heading: "Faults", title: "How many faults act on it", width: "4.4rem", sort: "faults", number: true, fields: ["faults"], shown: 9999, text: (c) => String(c.faults) },
  { id: "buffered", heading: "Buffered", title: "Bytes that wait in Portside for the client", width: "5.2rem", sort: "buffered", number: true, fields: ["buffered"], shown: 9999, text: (c) => format.size(c.buffered) },
  { id: "cwnd", heading: "Cwnd", title: "Congestion window, segments", width: "4.4rem", sort: "cwnd", number: true, fields: ["kernel.cwnd"], shown: 9999, text: (c) => format.count(fact(c, "cwnd")) },
  { id: "opened", heading: "Opened", title: "Time of day at which it was accepted", width: "5.4rem", number: true, fields: ["opened"], shown: 9999, text: (c) => format.clock(c.opened) },
  { id: "closed", heading: "Closed", title: "Time of day at which it closed", width: "5.4rem", number: true, fields: ["closed"], shown: 9999, text: (c) => (c.closed ? format.clock(c.closed) : "") },
];

const KEY = "portside.columns";

/** The names that the reader has chosen, null as long as the width decides. */
export function chosen() {
  const stored = localStorage.getItem(KEY);
  return stored ? stored.split(" ") : null;
}

/** @param {string[] | null} names */
export function choose(names) {
  if (names) localStorage.setItem(KEY, names.join(" "));
  else localStorage.removeItem(KEY);
}

/**
 * The columns for a table of this width.
 * @param {number} width  pixels
 */
export function columnsFor(width) {
  const names = chosen();
  return COLUMNS.filter(({ id, shown }) => (names ? names.includes(id) : width >= shown));
}
