/**
 * The stream of events: who connected, closed and was refused, faults and acts; payload if it is asked for.
 */

import { button, element, setText } from "./dom.js";
import { EventStream } from "./event-stream.js";
import { Following } from "./follow.js";
import * as format from "./format.js";
import { bytesOf, looseText, oneLine } from "./payload.js";
import { linkTo } from "./routes.js";

const WITHOUT_PAYLOAD = "not event = received and not event = sent";
const MOST = 1000;
const HEAD = 200; // characters of payload in a line
const PLAIN = new Set(["act", "what", "reason", "spec", "address"]); // what needs no name before it
const SAID = new Set(["event", "seq", "at", "node", "server", "conn", "peer", "text", "base64", "size", "fault"]);

export class EventList {
  #list = element("ol", { class: "events" });
  #scroller = element("div", { class: "event-scroller", tabindex: 0, role: "region", "aria-label": "Stream of events" }, this.#list);
  #told = element("p", { class: "totals" });
  #following;
  #payload = false;
  #missed = 0;
  #count = 0;
  /** @type {ServerEvent[]} */
  #pending = [];
  #frame = 0;
  #again = false; // all comes once more: events of several servers have no numbers
  /** @type {EventStream} */
  stream;

  /**
   * @param {HTMLElement} root
   * @param {() => void} lost
   */
  constructor(root, lost) {
    this.lost = lost;
    this.stream = this.#make(null);
    this.followButton = button("Follow", () => this.#following.set(!this.#following.on), { class: "toggle", "aria-pressed": "true" });
    const payload = button("Payload", () => {
      this.#payload = !this.#payload;
      payload.setAttribute("aria-pressed", String(this.#payload));
      this.#reconnect();
    }, { class: "toggle", "aria-pressed": "false" });
    const clear = button("Clear", () => this.#clear());
    root.append(
      element("div", { class: "toolbar" }, this.followButton, payload, clear),
      this.#scroller,
      this.#told,
    );
    this.#following = new Following(this.#scroller, this.#list, (on) => {
      this.followButton.setAttribute("aria-pressed", String(on));
    });
  }

  /** @param {number | null} after */
  #make(after) {
    const query = this.#payload ? { payload: /** @type {const} */ ("head") } : { payload: /** @type {const} */ ("none"), filter: WITHOUT_PAYLOAD };
    return new EventStream({ ...query, after: after ?? 0 }, (events) => this.#take(events), () => {
      this.#again = !this.stream.last;
      this.lost();
    });
  }

  #reconnect() {
    const after = this.stream.last;
    this.#again = !after;
    this.stream.close();
    this.stream = this.#make(after);
    this.stream.open();
  }

  #clear() {
    this.#again = false;
    this.#list.replaceChildren();
    this.#pending = [];
    this.#count = this.#missed = 0;
    this.#say();
  }

  /** Begin anew: the server is another one. */
  restart() {
    this.stream.close();
    this.stream = this.#make(0);
    this.stream.open();
  }

  /** Draw what came while the view was not shown. */
  show() {
    this.#plan();
  }

  /** @param {ServerEvent[]} events */
  #take(events) {
    if (this.#again) this.#clear();
    for (const event of events) {
      if (event.event === "missed") this.#missed += event.count ?? 0;
      else if (this.#payload || (event.event !== "received" && event.event !== "sent")) this.#pending.push(event);
    }
    if (this.#pending.length > MOST) this.#pending.splice(0, this.#pending.length - MOST);
    this.#plan();
  }

  #plan() {
    if (this.#frame || !this.#scroller.clientHeight) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#count += this.#pending.length;
      this.#list.append(...this.#pending.map((event) => line(event)));
      this.#pending = [];
      while (this.#list.childElementCount > MOST) this.#list.firstElementChild?.remove();
      this.#following.keep();
      this.#say();
    });
  }

  #say() {
    const missed = this.#missed ? `  ·  ${format.count(this.#missed)} passed too fast to be shown` : "";
    setText(this.#told, `${format.count(this.#count)} events${missed}`);
  }
}

/** @param {ServerEvent} event */
function line(event) {
  const name = event.server && event.conn ? `${event.server}/${event.conn}` : event.conn;
  const conn = name ? element("a", { href: linkTo(name) }, `#${name}`) : event.server ? String(event.server) : "";
  return element(
    "li",
    { "data-event": event.event },
    element("time", { datetime: event.at, title: event.at }, event.at ? format.clock(event.at, true) : ""),
    element("span", { class: "event-conn" }, event.node ?? conn),
    element("span", { class: "event-name" }, format.words(event.event)),
    element("span", { class: "event-peer data" }, event.peer ?? ""),
    element("span", { class: "event-detail" }, detail(event)),
  );
}

/** @param {ServerEvent} event */
function detail(event) {
  const parts = [];
  const { act, detail: what, by, ...rest } = event;
  for (const [name, value] of Object.entries({ act, what, by, ...rest })) {
    if (SAID.has(name) || value === null || value === undefined) continue;
    parts.push(`${PLAIN.has(name) ? "" : `${name} `}${oneLine(typeof value === "object" ? JSON.stringify(value) : String(value))}`);
  }
  if (event.text !== undefined || event.base64 !== undefined) {
    const text = event.text ?? looseText(bytesOf({ base64: event.base64 ?? "" }));
    parts.push(oneLine(text.slice(0, HEAD)) + (text.length > HEAD ? "…" : ""));
  }
  if (event.size !== undefined) parts.unshift(format.bytes(event.size));
  return parts.join("  ");
}
