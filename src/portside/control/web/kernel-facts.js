/**
 * What the kernel says of one connection: where its bytes are, and its facts over the last 15 minutes. A slider goes
 * back in time, and everything here shows that time.
 */

import { BytePath } from "./byte-path.js";
import { button, element, setText, showPairs } from "./dom.js";
import * as format from "./format.js";
import { History, KEPT_MS } from "./history.js";
import { Plot } from "./plot.js";

const perSecond = (/** @type {number | null} */ value) => (value === null ? format.UNKNOWN : `${format.bytes(value)}/s`);

/** @type {[title: string, explanation: string, name: string, write: (value: number | null) => string][]} */
const FACTS = [
  ["Recv-Q", "Bytes that the kernel has and Portside has not read", "recv_q", format.bytes],
  ["Send-Q", "Bytes that the client has not acknowledged", "send_q", format.bytes],
  ["In", "Bytes that came, a second", "bytes_received", perSecond],
  ["Out", "Bytes that the client acknowledged, a second", "bytes_acked", perSecond],
  ["RTT", "Round trip time, smoothed", "rtt_us", format.microseconds],
  ["Retransmits", "Segments sent again since the start", "retrans", format.count],
  ["Congestion window", "Segments that may be under way", "cwnd", format.count],
  ["Our buffer", "Bytes that the kernel has not taken yet", "buffered", format.bytes],
];

export class KernelFacts {
  #paths = new BytePath();
  #plots = FACTS.map(([title, explanation, , write]) => new Plot(title, explanation, write));
  #slider = element("input", { type: "range", min: -KEPT_MS / 1000, max: 0, step: 1, value: 0, "aria-label": "Point in time" });
  #when = element("output", { class: "when" });
  #now = button("Now", () => this.#goTo(0), { class: "toggle", "aria-pressed": "true" });
  #table = element("dl", { class: "facts" });
  #why = element("p", { class: "hint" });
  /** @type {History | null} */
  #history = null;
  /** @type {Connection | null} */
  #connection = null;
  /** The chosen time, milliseconds since 1970; null is now. */
  /** @type {number | null} */
  #chosen = null;

  constructor() {
    const step = (/** @type {number} */ seconds) => () => this.#goTo(Number(this.#slider.value) + seconds);
    const plots = element("div", { class: "plots" }, ...this.#plots.map((plot) => plot.element));
    this.element = element(
      "div",
      { class: "kernel-panel" },
      element(
        "div",
        { class: "time-machine" },
        button("‹", step(-1), { "aria-label": "One second back" }),
        this.#slider,
        button("›", step(1), { "aria-label": "One second on" }),
        this.#now,
        this.#when,
      ),
      this.#paths.element,
      plots,
      this.#table,
      this.#why,
    );
    this.#slider.addEventListener("input", () => this.#goTo(Number(this.#slider.value)));
    plots.addEventListener("click", (event) => {
      const svg = event.target instanceof Element ? event.target.closest("svg") : null;
      if (!svg) return;
      const { left, width } = svg.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientX - left) / width));
      const { from, to } = this.#span();
      this.#goTo((from + share * (to - from) - to) / 1000);
    });
  }

  /**
   * @param {Connection} connection
   */
  async show(connection) {
    if (this.#history?.conn !== connection.conn) {
      this.#history = new History(connection.conn);
      this.#chosen = null;
      this.#slider.value = "0";
    }
    this.#connection = connection;
    const history = this.#history;
    await history.refresh();
    if (history === this.#history) this.#draw();
  }

  forget() {
    this.#history = null;
  }

  /** The time that the plots show, milliseconds since 1970. */
  #span() {
    const rows = this.#history?.rows ?? [];
    const to = rows.at(-1)?.at ?? Date.now();
    const from = Math.min(rows[0]?.at ?? to, to - 60_000);
    return { from, to };
  }

  /** @param {number} seconds  0 is now, -60 a minute ago */
  #goTo(seconds) {
    const { from, to } = this.#span();
    const time = Math.max(from, to + Math.min(0, seconds) * 1000);
    this.#chosen = seconds >= 0 ? null : time;
    this.#draw();
  }

  #draw() {
    const history = this.#history;
    if (!history) return;
    const { from, to } = this.#span();
    this.#slider.min = String(-Math.ceil((to - from) / 1000));
    const time = this.#chosen === null ? to : Math.max(this.#chosen, from);
    if (document.activeElement !== this.#slider || this.#chosen === null) this.#slider.value = String((time - to) / 1000);
    const ago = Math.round((to - time) / 1000);
    const when = this.#chosen === null ? "now" : `${format.clock(time)}, ${format.duration(ago)} ago`;
    setText(this.#when, when);
    this.#slider.setAttribute("aria-valuetext", when);
    this.#now.setAttribute("aria-pressed", String(this.#chosen === null));
    const places = history.rows.map(({ at }) => (at - from) / (to - from || 1));
    const row = history.at(time);
    const index = row ? history.rows.indexOf(row) : -1;
    for (const [at, [, , name, write]] of FACTS.entries()) {
      const values = write === perSecond ? history.rate(name) : history.line(name);
      this.#plots[at]?.draw(values, places);
      this.#plots[at]?.point((time - from) / (to - from || 1), values[index] ?? null, when);
    }
    const skmem = /** @type {Record<string, number> | undefined} */ (this.#connection?.kernel?.info?.skmem);
    const limits = { in: skmem?.rcvbuf ?? null, out: skmem?.sndbuf ?? null };
    this.#paths.show(this.#chosen === null ? (this.#connection?.bytes ?? null) : placesOf(row), limits);
    this.#facts(this.#chosen === null);
  }

  /** @param {boolean} now */
  #facts(now) {
    this.#table.hidden = !now;
    const kernel = this.#connection?.kernel;
    setText(this.#why, kernel || !now ? "" : `Not known: ${this.#connection?.gaps.kernel ?? "the kernel has no such socket"}.`);
    const info = kernel?.info ?? {};
    const known = kernel ? Object.entries({ state: kernel.state, ...info }).filter(([, value]) => typeof value !== "object") : [];
    const shown = known.map(([name, value]) => [name, valueText(value)]);
    const gaps = kernel?.gaps ?? {};
    for (const [at, pair] of showPairs(this.#table, shown).entries()) pair.setAttribute("title", gaps[`info.${shown[at]?.[0]}`] ?? "");
  }
}

/** @param {unknown} value */
const valueText = (value) => (value === null || value === undefined ? format.UNKNOWN : typeof value === "number" ? format.count(value) : String(value));

/**
 * Where the bytes were, as far as a row of the history tells.
 * @param {HistoryRow | null} row
 * @returns {BytePlaces | null}
 */
function placesOf(row) {
  if (!row) return null;
  const known = (/** @type {string} */ name) => row[name] ?? null;
  return {
    in: { received_by_kernel: known("bytes_received"), recv_q: known("recv_q"), read: known("received") },
    out: { written: known("sent"), buffered: known("buffered"), unsent: known("notsent"), unacked: known("unacked"), acked: known("bytes_acked") },
  };
}
