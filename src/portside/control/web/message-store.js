/**
 * The newest messages of one connection, bounded: the page keeps no more than this however long it stays open.
 */

import { EventStream } from "./event-stream.js";
import { Problem, request, withQuery } from "./api.js";

const MOST_MESSAGES = 2000;
const MOST_BYTES = 16 * 1024 * 1024;
const PAGE = 1000;
const PAGE_BYTES = 1024 * 1024; // a page of the server ends before its next message would make it larger

export class MessageStore {
  /** @type {Message[]} */
  messages = [];
  /** Messages that came before all that can be shown and that nobody holds any more. */
  dropped = 0;
  /** Whether the server may hold messages before the first one here. */
  hasEarlier = false;
  #bytes = 0;
  #last = 0;
  #closed = false;
  /** The place of the last message in its connection, from 1 on. */
  /** @type {number | null} */
  #place = null;
  /** @type {ServerEvent[] | null} */
  #waiting = null;
  /** @type {EventStream | null} */
  #stream = null;
  #number;
  #server;

  /**
   * @param {ConnName} conn
   * @param {(added: Message[]) => void} changed
   */
  constructor(conn, changed) {
    this.conn = conn;
    this.changed = changed;
    const [number, server] = String(conn).split("/").reverse();
    this.#number = Number(number);
    this.#server = server;
  }

  /** Ask for what the server has kept, then follow what comes. */
  async open() {
    await this.#fetch();
    if (this.#closed) return;
    const query = { server: this.#server, filter: `conn = ${this.#number}`, payload: /** @type {const} */ ("all"), after: this.#last };
    this.#stream = new EventStream(query, (events) => this.#take(events));
    this.#stream.open();
  }

  /** Ask for the newest messages or, once there are some, for those after them. */
  async #fetch() {
    for (;;) {
      const after = this.#place === null ? undefined : `${this.#last}.${this.#place}`;
      const answer = await this.#page({ after });
      if (this.#closed) return;
      const [, place] = answer.next.split(".");
      if (after === undefined) {
        this.hasEarlier = mayGoOn(answer.items);
        this.dropped = answer.missed;
      }
      this.#add(answer.items);
      this.#place = Number(place ?? 0);
      if (after === undefined || !answer.items.length) return;
    }
  }

  /** Ask for messages before the first one; they stay until new ones need their place. */
  async earlier() {
    const before = this.messages[0]?.seq;
    if (before === undefined) return;
    const answer = await this.#page({ before });
    const items = answer.items.filter(({ seq }) => seq < (this.messages[0]?.seq ?? 0));
    this.hasEarlier = mayGoOn(items);
    this.dropped = answer.missed;
    this.messages.unshift(...items);
    for (const { size } of items) this.#bytes += size;
  }

  /**
   * @param {{after?: string | undefined, before?: number}} from
   * @returns {Promise<{items: Message[], missed: number, next: string}>}
   */
  async #page(from) {
    try {
      return await request("GET", withQuery(`connections/${this.conn}/messages`, { limit: PAGE, ...from }));
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return { items: [], missed: 0, next: from.after ?? "0.0" };
      throw error;
    }
  }

  /** Connect again, after the server was away. */
  reopen() {
    this.#stream?.open();
  }

  close() {
    this.#closed = true;
    this.#stream?.close();
  }

  /**
   * The stream has skipped something: what is held of this connection is asked for, and what comes meanwhile waits.
   */
  async #catchUp() {
    this.#waiting ??= [];
    try {
      await this.#fetch();
    } catch {
      // The server has gone, and the page says so elsewhere.
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#take(waiting);
  }

  /** @param {ServerEvent[]} events */
  #take(events) {
    if (this.#waiting) {
      this.#waiting.push(...events);
      return;
    }
    if (events.some(({ event }) => event === "missed")) {
      this.#waiting = events.filter(({ event }) => event !== "missed");
      void this.#catchUp();
      return;
    }
    /** @type {Message[]} */
    const added = [];
    for (const event of events) {
      if (event.conn !== this.#number || (event.event !== "received" && event.event !== "sent")) continue;
      if ((event.seq ?? 0) <= this.#last) continue;
      added.push({
        seq: event.seq ?? 0,
        at: event.at ?? "",
        direction: event.event === "received" ? "in" : "out",
        size: event.size ?? 0,
        ...(event.base64 === undefined ? { text: event.text ?? "" } : { base64: event.base64 }),
      });
    }
    this.#place = (this.#place ?? 0) + added.length;
    this.#add(added);
  }

  /** @param {Message[]} added */
  #add(added) {
    if (!added.length) return;
    for (const message of added) {
      this.messages.push(message);
      this.#bytes += message.size;
      this.#last = Math.max(this.#last, message.seq);
    }
    let removed = 0;
    while (this.messages.length - removed > MOST_MESSAGES || (this.#bytes > MOST_BYTES && this.messages.length - removed > 1)) {
      this.#bytes -= this.messages[removed]?.size ?? 0;
      removed += 1;
    }
    this.messages.splice(0, removed);
    this.hasEarlier ||= removed > 0;
    this.changed(added);
  }
}

/**
 * Whether there may be more before a page of messages.
 * @param {Message[]} page
 */
function mayGoOn(page) {
  const bytes = page.reduce((sum, { size }) => sum + size, 0);
  return page.length === PAGE || (page.length > 0 && bytes > PAGE_BYTES / 2);
}
