/**
 * The TCP sockets of the machine that the server runs on, as `watch` shows them; of a fleet those of all its nodes.
 */

import { column, figure } from "./column.js";
import { programs } from "./columns.js";
import { open as openDialog } from "./dialogs.js";
import { choice, element } from "./dom.js";
import { FindingCard } from "./finding-card.js";
import { ofSocket, withMarks } from "./findings.js";
import * as format from "./format.js";
import { RowList } from "./row-list.js";
import { facts } from "./server-state.js";

/**
 * A column of a number in `info`.
 * @param {string} id
 * @param {string} heading
 * @param {string} title
 * @param {number} shown
 * @param {(value: number | null) => string} write
 * @param {string} [name]
 * @returns {FittingColumn<KernelSocket>}
 */
const ofInfo = (id, heading, title, shown, write, name = id) =>
  figure(id, heading, title, "5.2rem", shown, ({ info }) => {
    const value = info?.[name];
    return write(typeof value === "number" ? value : null);
  });

const COLUMNS = [
  column("node", "Node", "The machine", "minmax(6rem, 0.6fr)", 0, (/** @type {KernelSocket} */ s) => s.node ?? ""),
  column("proto", "Proto", "tcp or tcp6", "3.6rem", 700, (s) => s.proto),
  figure("recvq", "Recv-Q", "Bytes not read by the program; of a listener, connections that wait to be accepted", "4.8rem", 400, (s) => format.size(s.recv_q), { tone: (s) => (s.recv_q ? "loud" : "") }),
  figure("sendq", "Send-Q", "Bytes not acknowledged by the peer; of a listener, the limit of its accept queue", "4.8rem", 460, (s) => format.size(s.send_q), { tone: (s) => (s.send_q && s.state !== "LISTEN" ? "loud" : "") }),
  column("local", "Local address", "This machine's end", "minmax(9.4rem, 1.2fr)", 0, (s) => s.local, { data: true }),
  column("remote", "Foreign address", "The other end", "minmax(9.4rem, 1.2fr)", 0, (s) => s.remote ?? "*", { data: true }),
  column("state", "State", "State of the connection", "minmax(7.6rem, 0.6fr)", 480, (s) => s.state ?? format.UNKNOWN),
  column("program", "PID/Program", "Who holds the socket", "minmax(8rem, 1fr)", 560, (s) => programs(s.owners)),
  ofInfo("rtt", "RTT", "Round trip time, smoothed", 820, format.microseconds, "rtt_us"),
  ofInfo("retrans", "Retrans", "Segments sent again", 900, format.count, "retrans_total"),
  ofInfo("bytes_received", "Received", "Bytes received", 980, format.size),
  ofInfo("bytes_sent", "Sent", "Bytes sent", 1060, format.size),
  ofInfo("cwnd", "Cwnd", "Congestion window, segments", 1140, format.count),
];

/** @param {HTMLElement} root */
export function socketList(root) {
  let chosen = "connected";
  const kinds = choice("Which sockets", [["connected", "Connected"], ["listening", "Listening"], ["all", "All"]], chosen, (which) => {
    chosen = which;
    list.table.reset();
  });
  const columns = (/** @type {number} */ room) => COLUMNS.filter(({ id, shown }) => room >= shown && (id !== "node" || facts.value?.nodes));
  /** @type {RowList<KernelSocket>} */
  const list = new RowList(
    root,
    {
      path: "sockets",
      label: "Sockets",
      placeholder: "state close-wait and recvq > 0",
      columns: (width) => withMarks(columns, width, ofSocket),
      key: ({ node, local, remote, inode }) => `${node} ${local} ${remote} ${inode}`,
      which: () => ({ view: chosen === "connected" ? null : chosen }),
      open: showFindings,
    },
    kinds.group,
  );
  return list;
}

/** @param {KernelSocket} socket  whose findings are shown, if it has any */
function showFindings(socket) {
  const found = ofSocket(socket);
  if (!found.length) return;
  const list = element("ol", {}, ...found.map((finding) => new FindingCard(finding).element));
  openDialog(`${socket.local} → ${socket.remote ?? "*"}`, [list], [element("button", { value: "ok", type: "submit", class: "primary" }, "Close")]);
}
