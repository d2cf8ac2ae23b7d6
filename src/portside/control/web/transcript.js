/**
 * What passed over a connection: as text, hex or both, the directions together or apart, followed or held still.
 */

import { perform } from "./acts.js";
import { request } from "./api.js";
import { button, choice, element, setText } from "./dom.js";
import { Following } from "./follow.js";
import { count } from "./format.js";
import { menu } from "./menu.js";
import { MessageStore } from "./message-store.js";
import { messageView } from "./message-view.js";
import { done, failed } from "./notices.js";
import { bytesOf, toBase64 } from "./payload.js";
import { saveMessages } from "./save.js";
import { TranscriptSearch } from "./transcript-search.js";

/** @typedef {import("./message-view.js").Mode} Mode */

const MODE = "portside.transcript";
const WIDE_PX = 840; // from here on a line of hex has room for 16 bytes
const SHOWN = 500; // messages with elements, while the list follows
const PAUSE_MS = 100; // at least between two times that new messages are shown
const FRAMES_MS = 33; // that two frames take anyway
const PAUSES = 4; // so many times as long as showing them takes, so that a flood leaves the browser time for the reader

export class Transcript {
  #list = element("ol", { class: "messages" });
  #earlier = element("p", { class: "earlier" });
  #scroller = element("div", { class: "transcript", tabindex: 0, role: "region", "aria-label": "Transcript" }, this.#earlier, this.#list);
  #none = element("p", { class: "transcript-none" });
  #newer = button("", () => this.#following.set(true), { class: "newer", hidden: true });
  #following;
  #unseen = 0;
  #readOnly = false;
  #width = 0;
  /** @type {Mode} */
  #mode = modeOf(localStorage.getItem(MODE));
  /** @type {MessageStore | null} */
  #store = null;
  /** @type {Message[]} */
  #pending = [];
  #timer = 0;

  constructor() {
    const modes = choice("Payload", [["text", "Text"], ["hex", "Hex"], ["both", "Both"]], this.#mode, (mode) => this.#show(modeOf(mode)));
    const follow = toggle("Follow", true, (on) => this.#following.set(on));
    this.#following = new Following(this.#scroller, this.#list, (on) => {
      follow.setAttribute("aria-pressed", String(on));
      if (on) this.#unseen = 0;
      this.#sayNewer();
    });
    this.search = new TranscriptSearch(this.#scroller, (seq) => this.#reveal(seq));
    const save = menu("Save", [
      ["What came in, as bytes", () => this.#store && saveMessages(this.#store, "in")],
      ["What was sent, as bytes", () => this.#store && saveMessages(this.#store, "out")],
      ["All messages, JSON Lines", () => this.#store && saveMessages(this.#store, "jsonl")],
      ["Copy what is shown", () => void copy(this.#list.innerText)],
    ]);
    this.element = element(
      "div",
      { class: "transcript-panel" },
      element(
        "div",
        { class: "toolbar" },
        modes.group,
        toggle("Times", true, (on) => this.#scroller.classList.toggle("no-times", !on)),
        toggle("Apart", false, (on) => this.#scroller.classList.toggle("apart", on)),
        follow,
        this.search.element,
        save,
      ),
      element("div", { class: "transcript-frame" }, this.#scroller, this.#none, this.#newer),
    );
    new ResizeObserver(() => {
      if (this.#width !== this.#bytesOfLine() && this.#mode !== "text" && this.#scroller.clientWidth) this.#drawAll();
    }).observe(this.#scroller);
  }

  /**
   * Show another connection.
   * @param {ConnName} conn
   * @param {boolean} readOnly
   */
  async show(conn, readOnly) {
    if (this.#store?.conn === conn) return;
    this.close();
    this.#readOnly = readOnly;
    this.#list.replaceChildren();
    setText(this.#none, "");
    const store = new MessageStore(conn, (added) => this.#added(added));
    this.#store = store;
    this.search.use(store);
    this.#following.set(true);
    try {
      await store.open();
    } catch (error) {
      failed(error);
    }
    if (this.#store === store) this.#settle();
  }

  reopen() {
    this.#store?.reopen();
  }

  close() {
    this.#store?.close();
    this.#store = null;
    this.#pending = [];
    this.#unseen = 0;
  }

  #bytesOfLine() {
    return this.#scroller.clientWidth < WIDE_PX ? 8 : 16;
  }

  /** @param {Mode} mode */
  #show(mode) {
    this.#mode = mode;
    localStorage.setItem(MODE, mode);
    this.#drawAll();
  }

  /** Draw the newest messages, or as many as are shown. */
  #drawAll() {
    this.#pending = [];
    const shown = Math.max(SHOWN, this.#list.childElementCount);
    this.#list.replaceChildren(...this.#elements(this.#store?.messages.slice(-shown) ?? []));
    this.#settle();
  }

  /** @param {Message[]} added */
  #added(added) {
    this.#pending.push(...added);
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, this.#list.childElementCount ? this.#pause : 0);
  }

  #pause = PAUSE_MS;

  #draw() {
    const begun = performance.now();
    // The browser lays out what is new before the next frame but one.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      this.#pause = Math.max(PAUSE_MS, PAUSES * (performance.now() - begun - FRAMES_MS));
    }));
    const kept = this.#following.on ? SHOWN : (this.#store?.messages.length ?? 0);
    const late = this.#pending.slice(-kept);
    if (!this.#following.on) this.#unseen += this.#pending.length;
    this.#pending = [];
    this.#list.append(...this.#elements(late));
    while (this.#list.childElementCount > kept) this.#list.firstElementChild?.remove();
    this.#settle();
  }

  /** @param {Message[]} messages */
  #elements(messages) {
    const width = (this.#width = this.#bytesOfLine());
    const acts = {
      copy: (/** @type {string} */ text) => void copy(text),
      again: this.#readOnly ? null : (/** @type {Message} */ message) => void this.#again(message),
    };
    return messages.map((message) => messageView(message, this.#mode, width, acts));
  }

  #settle() {
    this.#following.keep();
    this.#sayEarlier();
    this.#sayNewer();
    setText(this.#none, this.#list.childElementCount ? "" : "Nothing has passed yet, or what passed is no longer kept.");
    this.search.again();
  }

  #sayEarlier() {
    const { messages = [], hasEarlier = false, dropped = 0 } = this.#store ?? {};
    const more = messages.length > this.#list.childElementCount || hasEarlier;
    const text = more ? "Show earlier" : dropped ? `${count(dropped)} earlier messages are held no longer; a recording (--record) keeps all.` : "";
    if (this.#earlier.textContent === text) return;
    this.#earlier.replaceChildren(more ? button(text, () => void this.#showEarlier()) : text);
  }

  async #showEarlier() {
    const store = this.#store;
    if (!store) return;
    this.#following.set(false);
    try {
      if (store.messages.length <= this.#list.childElementCount) await store.earlier();
    } catch (error) {
      failed(error);
    }
    const end = store.messages.length - this.#list.childElementCount;
    const below = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    this.#list.prepend(...this.#elements(store.messages.slice(Math.max(0, end - SHOWN), end)));
    this.#settle();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - below;
  }

  /**
   * Stop following, and have an element for a message.
   * @param {number} seq
   */
  #reveal(seq) {
    this.#following.set(false);
    const first = this.#list.firstElementChild;
    if (first instanceof HTMLElement && seq >= Number(first.dataset.seq)) return;
    const messages = this.#store?.messages ?? [];
    this.#list.replaceChildren(...this.#elements(messages));
    this.#settle();
  }

  #sayNewer() {
    this.#newer.hidden = this.#following.on || !this.#unseen;
    setText(this.#newer, `${count(this.#unseen)} new ↓`);
  }

  /** @param {Message} message */
  async #again(message) {
    const conn = this.#store?.conn ?? 0;
    const base64 = toBase64(bytesOf(message));
    await perform(`${message.size} B sent again to #${conn}`, () => request("POST", `connections/${conn}/send`, { base64 }));
  }
}

/**
 * @param {string | null} name
 * @returns {Mode}
 */
const modeOf = (name) => (name === "hex" || name === "both" ? name : "text");

/**
 * @param {string} text
 * @param {boolean} on
 * @param {(on: boolean) => void} act
 */
function toggle(text, on, act) {
  const made = button(text, () => {
    const now = made.getAttribute("aria-pressed") !== "true";
    made.setAttribute("aria-pressed", String(now));
    act(now);
  }, { "aria-pressed": String(on), class: "toggle" });
  return made;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    done("Copied");
  } catch (error) {
    failed(`the browser does not let the page copy: ${error instanceof Error ? error.message : error}`);
  }
}
