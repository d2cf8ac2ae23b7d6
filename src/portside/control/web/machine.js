/**
 * Every TCP socket of this machine, as `portside watch` shows them.
 */

import { request, Unreachable, withQuery } from "./api.js";
import { programs } from "./columns.js";
import { open as openDialog } from "./dialogs.js";
import { choice, element, setText } from "./dom.js";
import { FilterField } from "./filter-field.js";
import { FindingCard } from "./finding-card.js";
import { everywhere, ofSocket, withMarks } from "./findings.js";
import * as format from "./format.js";
import { failed } from "./notices.js";
import { Table } from "./table.js";

/** @typedef {Column<KernelSocket> & {shown: number}} SocketColumn */

/**
 * @param {KernelSocket} socket
 * @param {string} name
 */
function info(socket, name) {
  const value = socket.info?.[name];
  return typeof value === "number" ? value : null;
}

/** @type {SocketColumn[]} */
const COLUMNS = [
  { id: "proto", heading: "Proto", title: "tcp or tcp6", width: "3.6rem", sort: "proto", shown: 700, text: (s) => s.proto },
  { id: "recvq", heading: "Recv-Q", title: "Bytes not read by the program; of a listener, connections that wait to be accepted", width: "4.8rem", sort: "recvq", number: true, shown: 400, text: (s) => format.size(s.recv_q), tone: (s) => (s.recv_q ? "loud" : "") },
  { id: "sendq", heading: "Send-Q", title: "Bytes not acknowledged by the peer; of a listener, the limit of its accept queue", width: "4.8rem", sort: "sendq", number: true, shown: 460, text: (s) => format.size(s.send_q), tone: (s) => (s.send_q && s.state !== "LISTEN" ? "loud" : "") },
  { id: "local", heading: "Local address", title: "This machine's end", width: "minmax(9.4rem, 1.2fr)", sort: "local", data: true, shown: 0, text: (s) => s.local },
  { id: "remote", heading: "Foreign address", title: "The other end", width: "minmax(9.4rem, 1.2fr)", sort: "remote", data: true, shown: 0, text: (s) => s.remote ?? "*" },
  { id: "state", heading: "State", title: "State of the connection", width: "minmax(7.6rem, 0.6fr)", sort: "state", shown: 480, text: (s) => s.state ?? format.UNKNOWN },
  { id: "program", heading: "PID/Program", title: "Who holds the socket", width: "minmax(8rem, 1fr)", sort: "program", shown: 560, text: (s) => programs(s.owners) },
  { id: "rtt", heading: "RTT", title: "Round trip time, smoothed", width: "5rem", sort: "rtt", number: true, shown: 820, text: (s) => format.microseconds(info(s, "rtt_us")) },
  { id: "retrans", heading: "Retrans", title: "Segments sent again", width: "5rem", sort: "retrans", number: true, shown: 900, text: (s) => format.count(info(s, "retrans_total")) },
  { id: "in", heading: "Received", title: "Bytes received", width: "5.4rem", sort: "bytes_received", number: true, shown: 980, text: (s) => format.size(info(s, "bytes_received")) },
  { id: "out", heading: "Sent", title: "Bytes sent", width: "5rem", sort: "bytes_sent", number: true, shown: 1060, text: (s) => format.size(info(s, "bytes_sent")) },
  { id: "cwnd", heading: "Cwnd", title: "Congestion window, segments", width: "4.4rem", sort: "cwnd", number: true, shown: 1140, text: (s) => format.count(info(s, "cwnd")) },
];

export class Machine {
  #which = "connected";
  #shown = "";
  #totals = element("p", { class: "totals" });

  /** @param {HTMLElement} root */
  constructor(root) {
    this.filter = new FilterField("sockets", "state close-wait and recvq > 0", () => this.table.reset());
    this.table = new Table({
      label: "Sockets of this machine",
      key: (/** @type {KernelSocket} */ socket) => `${socket.local} ${socket.remote} ${socket.inode}`,
      sort: "",
      load: (offset, limit, sort) =>
        request("GET", withQuery("sockets", { filter: this.filter.value, sort, offset, limit, view: this.#which === "connected" ? null : this.#which })),
      loaded: (error) => this.#loaded(error),
      open: showFindings,
    });
    const kinds = choice("Which sockets", [["connected", "Connected"], ["listening", "Listening"], ["all", "All"]], this.#which, (which) => {
      this.#which = which;
      this.table.reset();
    });
    root.append(
      element("div", { class: "toolbar" }, this.filter.element, kinds.group),
      this.filter.error,
      this.table.element,
      this.#totals,
    );
    new ResizeObserver(() => this.#fit()).observe(this.table.root);
    everywhere.follow(() => this.#fit());
  }

  #fit() {
    const width = this.table.root.clientWidth;
    if (!width) return;
    const columns = withMarks((room) => COLUMNS.filter(({ shown }) => room >= shown), width, ofSocket);
    const names = columns.map(({ id }) => id).join(" ");
    if (names === this.#shown) return;
    this.#shown = names;
    this.table.show(columns);
  }

  /** @param {unknown} error */
  #loaded(error) {
    if (error) {
      if (!this.filter.say(error) && !(error instanceof Unreachable)) failed(error);
      return;
    }
    this.filter.say(null);
    this.table.sayEmpty("No socket matches.");
    setText(this.#totals, `${format.count(this.table.rows.total)} sockets`);
  }
}

/** @param {KernelSocket} socket  whose findings are shown, if it has any */
function showFindings(socket) {
  const found = ofSocket(socket);
  if (!found.length) return;
  const list = element("ol", {}, ...found.map((finding) => new FindingCard(finding).element));
  openDialog(`${socket.local} → ${socket.remote ?? "*"}`, [list], [element("button", { value: "ok", type: "submit", class: "primary" }, "Close")]);
}
