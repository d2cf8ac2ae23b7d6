/**
 * The events of the server over a WebSocket, without a gap over a lost connection: it asks for what came `after` the
 * last number that it has seen.
 */

import { webSocket, withQuery } from "./api.js";

const PAUSE_MS = 900; // between two attempts

export class EventStream {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {number | null} */
  #last = null;
  #tried = -PAUSE_MS;
  #query;
  #receive;
  #lost;

  /**
   * @param {{server?: string | undefined, filter?: string, payload: "none" | "head" | "all", after?: number | null}} query
   *   with a `server` its events alone, where several are shown as one
   * @param {(events: ServerEvent[]) => void} receive  gets what one frame brought
   * @param {() => void} [lost]  is told when the connection ends otherwise than by `close`
   */
  constructor(query, receive, lost = () => {}) {
    this.#query = query;
    this.#receive = receive;
    this.#lost = lost;
    this.#last = query.after ?? null;
  }

  /** Connect, or connect anew; nothing where a connection stands. */
  open() {
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN) return;
    if (performance.now() - this.#tried < PAUSE_MS) return;
    this.#tried = performance.now();
    const { server, filter, payload } = this.#query;
    const socket = webSocket(withQuery("events", { server, filter, payload, after: this.#last }));
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(data));
    socket.addEventListener("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#lost();
    });
  }

  /** The number of the newest event, null before the first. */
  get last() {
    return this.#last;
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** @param {string} frame  one object a line */
  #take(frame) {
    /** @type {ServerEvent[]} */
    const events = frame.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    for (const { seq } of events) if (seq !== undefined && seq !== null) this.#last = seq;
    this.#receive(events);
  }
}
