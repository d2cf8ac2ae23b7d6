/**
 * Search in a transcript: text, or bytes written as `hex:0d 0a`. Messages that match are marked, and so is the text
 * where the browser can mark it without changing the document.
 */

import { button, element, setText } from "./dom.js";
import { bytesOf, looseText, parseHex } from "./payload.js";

/** @typedef {import("./message-store.js").MessageStore} MessageStore */

const NAME = "found";

export class TranscriptSearch {
  #input = element("input", { type: "search", class: "data", placeholder: "Search", "aria-label": "Search the transcript; hex:0d0a for bytes", spellcheck: "false" });
  #told = element("span", { class: "found-count", role: "status" });
  /** @type {MessageStore | null} */
  #store = null;
  /** @type {number[]} sequence numbers */
  #found = [];
  #at = -1;

  /**
   * @param {HTMLElement} scroller
   * @param {(seq: number) => void} reveal  makes sure that a message has an element
   */
  constructor(scroller, reveal) {
    this.scroller = scroller;
    this.reveal = reveal;
    const previous = button("↑", () => this.#go(-1), { "aria-label": "Previous match", class: "quiet" });
    const next = button("↓", () => this.#go(1), { "aria-label": "Next match", class: "quiet" });
    this.element = element("div", { class: "search", role: "search" }, this.#input, this.#told, previous, next);
    this.#input.addEventListener("input", () => {
      this.#at = -1;
      this.again();
    });
    this.#input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#go(event.shiftKey ? -1 : 1);
      if (event.key === "Escape" && this.#input.value) {
        event.stopPropagation();
        this.#input.value = "";
        this.again();
      }
    });
  }

  focus() {
    this.#input.focus();
  }

  /** @param {MessageStore} store */
  use(store) {
    this.#store = store;
    this.#at = -1;
    this.again();
  }

  /** Search again, after the messages or their view changed. */
  again() {
    const query = this.#input.value;
    if (!query && !this.element.classList.contains("active")) return;
    this.element.classList.toggle("active", Boolean(query));
    const matches = query ? matcher(query) : () => false;
    this.#found = query ? (this.#store?.messages ?? []).filter(matches).map(({ seq }) => seq) : [];
    setText(this.#told, !query ? "" : this.#found.length ? `${this.#at < 0 ? "" : `${this.#at + 1} of `}${this.#found.length}` : "none");
    const found = new Set(this.#found.map(String));
    for (const shown of this.scroller.querySelectorAll("li.message")) {
      const hit = shown instanceof HTMLElement && found.has(shown.dataset.seq ?? "");
      if (shown.classList.contains("found") !== hit) shown.classList.toggle("found", hit);
    }
    this.#highlight(query.startsWith("hex:") ? "" : query);
  }

  /** @param {string} query */
  #highlight(query) {
    if (!("highlights" in CSS)) return;
    CSS.highlights.delete(NAME);
    if (!query) return;
    const wanted = query.toLowerCase();
    const ranges = [];
    for (const part of this.scroller.querySelectorAll("li.found .payload.text")) {
      const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = (node.nodeValue ?? "").toLowerCase();
        for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + wanted.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set(NAME, new Highlight(...ranges));
  }

  /** @param {number} step */
  #go(step) {
    if (!this.#found.length) return;
    this.#at = this.#at < 0 ? (step > 0 ? 0 : this.#found.length - 1) : (this.#at + step + this.#found.length) % this.#found.length;
    this.reveal(this.#found[this.#at] ?? 0);
    for (const old of this.scroller.querySelectorAll("li.at")) old.classList.remove("at");
    const shown = this.scroller.querySelector(`li[data-seq="${this.#found[this.#at]}"]`);
    shown?.classList.add("at");
    shown?.scrollIntoView({ block: "center" });
    setText(this.#told, `${this.#at + 1} of ${this.#found.length}`);
  }
}

/**
 * @param {string} query
 * @returns {(message: Message) => boolean}
 */
function matcher(query) {
  if (query.startsWith("hex:")) {
    let wanted = "";
    try {
      wanted = latin(parseHex(query.slice(4)));
    } catch {
      return () => false;
    }
    return (message) => wanted !== "" && latin(bytesOf(message)).includes(wanted);
  }
  const wanted = query.toLowerCase();
  return (message) => (message.text ?? looseText(bytesOf(message))).toLowerCase().includes(wanted);
}

/** @param {Uint8Array} bytes  as characters U+0000 to U+00FF */
const latin = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
