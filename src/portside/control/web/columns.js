/**
 * The columns of the connections: what a cell shows, by which name the server sorts, which fields it needs.
 */

import { column, figure } from "./column.js";
import * as format from "./format.js";
import { oneLine } from "./payload.js";

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
 * A column of the kernel.
 * @param {string} id
 * @param {string} heading
 * @param {string} title
 * @param {number} shown
 * @param {string} name
 * @param {(value: number | null) => string} write
 * @param {string} [tone]  of what is not 0
 * @returns {FittingColumn<ConnectionItem>}
 */
const kernel = (id, heading, title, shown, name, write, tone = "") =>
  figure(id, heading, title, "4.8rem", shown, (c) => write(fact(c, name)), { fields: [`kernel.${name}`], tone: (c) => (fact(c, name) ? tone : "") });

const DATA = { data: true };
const TIME = { number: true, sort: "" };

/** Those that need more than the widest screen are shown where the reader has chosen them. */
export const COLUMNS = [
  column("conn", "#", "Number of the connection", "minmax(var(--conn-width, 3.6rem), auto)", 0, (/** @type {ConnectionItem} */ c) => String(c.conn), { number: true, data: true }),
  column("peer", "Peer", "Address of the client", "minmax(11rem, 2fr)", 0, (c) => c.peer, DATA),
  column("state", "State", "Open, paused, half-closed, or why it closed", "minmax(6.4rem, 0.8fr)", 0, stateText, { fields: ["state", "reason", "holds"], tone: stateTone }),
  figure("received", "Received", "Bytes from the client", "5.4rem", 420, (c) => format.size(c.received)),
  figure("sent", "Sent", "Bytes to the client", "4.6rem", 480, (c) => format.size(c.sent)),
  kernel("recvq", "Recv-Q", "Bytes that the kernel has and Portside has not read", 620, "recv_q", format.size, "loud"),
  kernel("sendq", "Send-Q", "Bytes that the client has not acknowledged", 620, "send_q", format.size, "loud"),
  figure("idle", "Idle", "Time since the last byte", "4.4rem", 540, (c) => (c.state === "closed" ? "" : format.duration(c.idle))),
  figure("age", "Age", "Time since it was accepted", "4.6rem", 760, (c) => format.duration(c.age)),
  kernel("rtt", "RTT", "Round trip time, smoothed", 860, "rtt_us", format.microseconds),
  kernel("retrans", "Retrans", "Segments sent again", 960, "retrans_total", format.count, "loud"),
  column("note", "Note", "Your note and tags", "minmax(8rem, 1.4fr)", 1040, (c) => [text(c.note), ...(c.tags ?? []).map((/** @type {string} */ tag) => `#${oneLine(tag)}`)].filter(Boolean).join(" "), { fields: ["note", "tags"] }),
  column("program", "Program", "Who holds the client's end, if it is on this machine", "minmax(8rem, 1fr)", 1200, (c) => programs(c.owners), { fields: ["owners"] }),
  column("local", "Local", "Address that the client connected to", "minmax(10rem, 1fr)", 9999, (c) => c.local, DATA),
  figure("faults", "Faults", "How many faults act on it", "4.4rem", 9999, (c) => String(c.faults)),
  figure("buffered", "Buffered", "Bytes that wait in Portside for the client", "5.2rem", 9999, (c) => format.size(c.buffered)),
  kernel("cwnd", "Cwnd", "Congestion window, segments", 9999, "cwnd", format.count),
  column("opened", "Opened", "Time of day at which it was accepted", "5.4rem", 9999, (c) => format.clock(c.opened), TIME),
  column("closed", "Closed", "Time of day at which it closed", "5.4rem", 9999, (c) => (c.closed ? format.clock(c.closed) : ""), TIME),
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
