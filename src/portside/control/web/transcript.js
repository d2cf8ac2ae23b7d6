/**
 * What passed over a connection: as text, hex or both, the directions together or apart, followed or held still.
 */

import { perform } from "./acts.js";
import { request } from "./api.js";
import { button, choice, element, setText } from "./dom.js";
import { count } from "./format.js";
import { MessageStore } from "./message-store.js";
import { messageView } from "./message-view.js";
import { done, failed } from "./notices.js";
import { bytesOf, toBase64 } from "./payload.js";
import { saveMessages } from "./save.js";
import { TranscriptSearch } from "./transcript-search.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./message-view.js").Mode} Mode */

const MODE = "portside.transcript";
const WIDE_PX = 840; // from here on a line of hex has room for 16 bytes

export class Transcript {
  #list = element("ol", { class: "messages" });
  #scroller = element("div", { class: "transcript", tabindex: 0, role: "region", "aria-label": "Transcript" }, this.#list);
  #none = element("p", { class: "transcript-none" });
  #newer = button("", () => this.follow(true), { class: "newer", hidden: true });
  #earlier = element("p", { class: "earlier", hidden: true });
  #unseen = 0;
  #following = true;
  #readOnly = false;
  /** @type {Mode} */
  #mode = /** @type {Mode} */ (localStorage.getItem(MODE) ?? "text");
  /** @type {MessageStore | null} */
  #store = null;
  /** @type {Message[]} */
  #pending = [];
  #removed = 0;
  #frame = 0;

  constructor() {
    const modes = choice("Payload", [["text", "Text"], ["hex", "Hex"], ["both", "Both"]], this.#mode, (mode) => this.#show(mode));
    this.search = new TranscriptSearch(this.#scroller, () => this.follow(false));
    this.toolbar = element(
      "div",
      { class: "toolbar" },
      modes.group,
      this.#toggle("Times", true, (on) => this.#scroller.classList.toggle("no-times", !on)),
      this.#toggle("Apart", false, (on) => this.#scroller.classList.toggle("apart", on)),
      (this.followButton = this.#toggle("Follow", true, (on) => this.follow(on))),
      this.search.element,
      this.#saveMenu(),
    );
    this.element = element(
      "div",
      { class: "transcript-panel" },
      this.toolbar,
      this.#earlier,
      element("div", { class: "transcript-frame" }, this.#scroller, this.#none, this.#newer),
    );
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const sizes = new ResizeObserver(() => this.#resized());
    sizes.observe(this.#scroller);
    sizes.observe(this.#list);
  }

  /**
   * @param {string} text
   * @param {boolean} on
   * @param {(on: boolean) => void} act
   */
  #toggle(text, on, act) {
    const toggle = button(text, () => {
      const now = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(now));
      act(now);
    }, { "aria-pressed": String(on), class: "toggle" });
    return toggle;
  }

  #saveMenu() {
    const menu = element("details", { class: "menu" }, element("summary", {}, "Save"));
    const list = element("div", { class: "menu-list" });
    for (const [what, text] of /** @type {const} */ ([["in", "What came in, as bytes"], ["out", "What was sent, as bytes"], ["jsonl", "All messages, JSON Lines"]])) {
      list.append(
        button(text, () => {
          menu.open = false;
          if (this.#store) saveMessages(this.#store, what);
        }),
      );
    }
    list.append(
      button("Copy all as text", () => {
        menu.open = false;
        void this.#copy(this.#scroller.innerText);
      }),
    );
    menu.append(list);
    menu.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !menu.contains(relatedTarget)) menu.open = false;
    });
    return menu;
  }

  /**
   * Show another connection.
   * @param {number} conn
   * @param {boolean} readOnly
   */
  async show(conn, readOnly) {
    if (this.#store?.conn === conn) return;
    this.close();
    this.#readOnly = readOnly;
    this.#list.replaceChildren();
    setText(this.#none, "");
    this.#store = new MessageStore(conn, (added, removed) => this.#changed(added, removed));
    this.search.use(this.#store);
    this.follow(true);
    try {
      await this.#store.open();
    } catch (error) {
      failed(error);
    }
    this.#sayNone();
  }

  reopen() {
    this.#store?.reopen();
  }

  close() {
    this.#store?.close();
    this.#store = null;
    this.#pending = [];
    this.#removed = 0;
    this.#unseen = 0;
  }

  /** @param {boolean} on */
  follow(on) {
    this.#following = on;
    this.followButton.setAttribute("aria-pressed", String(on));
    if (on) {
      this.#unseen = 0;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
    }
    this.#sayNewer();
  }

  /** Where the reader scrolled up, stay; at the end, follow. What grows or shrinks by itself changes nothing. */
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const up = scrollTop < this.#top - 1;
    this.#top = scrollTop;
    const atEnd = scrollHeight - scrollTop - clientHeight < 24;
    if (atEnd && !this.#following) this.follow(true);
    else if (!atEnd && up && this.#following) this.follow(false);
  }

  #top = 0;

  #width() {
    return this.#scroller.clientWidth < WIDE_PX ? 8 : 16;
  }

  #shownWidth = 0;

  #resized() {
    const width = this.#width();
    if (this.#shownWidth !== width && this.#mode !== "text" && this.#scroller.clientWidth) this.#drawAll();
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** @param {string} mode */
  #show(mode) {
    this.#mode = mode === "hex" || mode === "both" ? mode : "text";
    localStorage.setItem(MODE, this.#mode);
    this.#drawAll();
  }

  #drawAll() {
    this.#pending = [];
    this.#removed = 0;
    this.#list.replaceChildren();
    this.#append(this.#store?.messages ?? []);
    this.#settle();
  }

  /**
   * @param {Message[]} added
   * @param {number} removed
   */
  #changed(added, removed) {
    this.#pending.push(...added);
    this.#removed += removed;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const kept = this.#store?.messages.length ?? 0;
      const late = this.#pending.slice(-kept || this.#pending.length);
      this.#pending = [];
      this.#append(late);
      while (this.#list.childElementCount > kept) this.#list.firstElementChild?.remove();
      if (!this.#following) this.#unseen += late.length;
      this.#settle();
    });
  }

  #settle() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    const dropped = this.#store?.dropped ?? 0;
    this.#earlier.hidden = !dropped;
    setText(this.#earlier, dropped ? `${count(dropped)} earlier messages are not kept here; a recording (--record) keeps all.` : "");
    this.#sayNone();
    this.#sayNewer();
    this.search.again();
  }

  #sayNone() {
    setText(this.#none, this.#list.childElementCount ? "" : "Nothing has passed yet, or what passed is no longer kept.");
  }

  #sayNewer() {
    this.#newer.hidden = this.#following || !this.#unseen;
    setText(this.#newer, `${count(this.#unseen)} new ↓`);
  }

  /** @param {Message[]} messages */
  #append(messages) {
    const width = (this.#shownWidth = this.#width());
    const acts = {
      copy: (/** @type {Message} */ _, /** @type {string} */ text) => void this.#copy(text),
      again: this.#readOnly ? null : (/** @type {Message} */ message) => void this.#again(message),
    };
    this.#list.append(...messages.map((message) => messageView(message, this.#mode, width, acts)));
  }

  /** @param {string} text */
  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      done("Copied");
    } catch (error) {
      failed(`the browser does not let the page copy: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** @param {Message} message */
  async #again(message) {
    const conn = this.#store?.conn ?? 0;
    const base64 = toBase64(bytesOf(message));
    await perform(`${message.size} B sent again to #${conn}`, () => request("POST", `connections/${conn}/send`, { base64 }));
  }
}
