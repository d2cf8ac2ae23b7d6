/**
 * The box that sends: text, hex or a file, once or every few seconds.
 */

import { perform, send } from "./acts.js";
import { Problem, request } from "./api.js";
import { button, choice, element, setText } from "./dom.js";
import { bytes as written } from "./format.js";
import { parseHex, parseText, toBase64 } from "./payload.js";

const MOST_FILE = 8 * 1024 * 1024;
const PIECE = 512 * 1024; // the server takes bodies of at most 1 MiB, and base64 adds a third
const PAUSE_MS = 200;
const MOST_TRIES = 300; // a minute for a client that takes nothing
const HISTORY = 50;
const TEXT_HINT = "Text; \\n \\t \\x00 are understood";

export class SendBox {
  #kind = "text";
  /** @type {ConnName} */
  #conn = 0;
  /** @type {string[]} */
  #history = [];
  #recalled = 0;
  #timer = 0;
  #sent = 0;
  #text = element("textarea", { class: "data", rows: 1, spellcheck: "false", "aria-label": "What to send", "aria-describedby": "send-error" });
  #file = element("input", { type: "file", hidden: true, "aria-label": "File to send" });
  #end = element("select", { "aria-label": "End of line to add" }, ...[["\\n", "+ \\n"], ["\\r\\n", "+ \\r\\n"], ["", "as it is"]].map(([value = "", text = ""]) => element("option", { value }, text)));
  #every = element("input", { type: "number", min: 0.1, step: 0.1, value: 5, "aria-label": "Seconds between repetitions" });
  #repeat = button("Repeat", () => this.#toggleRepeat(), { class: "toggle", "aria-pressed": "false" });
  #send = element("button", { type: "submit", class: "primary" }, "Send");
  #error = element("p", { id: "send-error", class: "field-error", role: "alert" });

  constructor() {
    const kinds = choice("Kind", [["text", "Text"], ["hex", "Hex"], ["file", "File"]], "text", (kind) => this.#use(kind));
    this.element = element(
      "form",
      { class: "send-box", "aria-label": "Send" },
      element("div", { class: "send-input" }, this.#text, this.#file, this.#send),
      element(
        "div",
        { class: "send-options" },
        kinds.group,
        this.#end,
        element("span", { class: "every" }, this.#repeat, element("span", {}, "every"), this.#every, element("span", {}, "s")),
      ),
      this.#error,
    );
    this.#text.placeholder = TEXT_HINT;
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#once();
    });
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#fit());
  }

  focus() {
    this.#text.focus();
  }

  /**
   * @param {ConnName} conn
   * @param {boolean} usable
   */
  show(conn, usable) {
    if (conn !== this.#conn) this.#stop();
    this.#conn = conn;
    if (!usable) this.#stop();
    for (const field of [this.#text, this.#file, this.#end, this.#every, this.#repeat, this.#send]) field.disabled = !usable;
  }

  /** @param {string} kind */
  #use(kind) {
    this.#kind = kind;
    this.#text.hidden = kind === "file";
    this.#file.hidden = kind !== "file";
    this.#end.hidden = kind !== "text";
    setText(this.#error, "");
    this.#text.placeholder = kind === "hex" ? "68 65 6c 6c 6f 0a" : TEXT_HINT;
  }

  #fit() {
    this.#text.rows = Math.min(6, this.#text.value.split("\n").length);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.element.requestSubmit();
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || this.#text.value.includes("\n") || !this.#history.length) return;
    event.preventDefault();
    this.#recalled = Math.max(0, Math.min(this.#history.length, this.#recalled + step));
    this.#text.value = this.#history[this.#recalled] ?? "";
    this.#fit();
  }

  /** @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async #bytes() {
    if (this.#kind === "hex") return parseHex(this.#text.value);
    if (this.#kind === "text") return parseText(this.#text.value + this.#end.value);
    const file = this.#file.files?.[0];
    if (!file) throw new SyntaxError("choose a file first");
    if (file.size > MOST_FILE) throw new SyntaxError(`the file is larger than ${written(MOST_FILE)}, which is the most the page sends at once`);
    return new Uint8Array(await file.arrayBuffer());
  }

  /** Send what is in the box; whether it was sent. */
  async #once() {
    let bytes;
    try {
      bytes = await this.#bytes();
      if (!bytes.length) throw new SyntaxError("there is nothing to send");
    } catch (error) {
      setText(this.#error, error instanceof Error ? error.message : String(error));
      return false;
    }
    setText(this.#error, "");
    const worked = await this.#inPieces(bytes);
    if (worked) this.#remember();
    return worked;
  }

  /** @param {Uint8Array} bytes */
  async #inPieces(bytes) {
    const conn = this.#conn;
    for (let at = 0; at < bytes.length; at += PIECE) {
      const last = at + PIECE >= bytes.length;
      const told = last && !this.#timer ? `${written(bytes.length)} sent to #${conn}` : "";
      const piece = toBase64(bytes.subarray(at, at + PIECE));
      if (!(await (at === 0 ? send(conn, piece, told) : sendWhenThereIsRoom(conn, piece, told)))) return false;
    }
    return true;
  }

  #remember() {
    if (this.#kind !== "text" || !this.#text.value || this.#timer) return;
    if (this.#history.at(-1) !== this.#text.value) this.#history.push(this.#text.value);
    if (this.#history.length > HISTORY) this.#history.shift();
    this.#recalled = this.#history.length;
    this.#text.value = "";
    this.#fit();
  }

  #toggleRepeat() {
    if (this.#timer) {
      this.#stop();
      return;
    }
    const seconds = Math.max(0.1, Number(this.#every.value) || 5);
    this.#sent = 0;
    this.#repeat.setAttribute("aria-pressed", "true");
    const again = async () => {
      const worked = await this.#once();
      if (!worked) this.#stop();
      else if (this.#timer) setText(this.#repeat, `Stop (${(this.#sent += 1)})`);
    };
    this.#timer = setInterval(() => void again(), seconds * 1000);
    void again();
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    setText(this.#repeat, "Repeat");
    this.#repeat.setAttribute("aria-pressed", "false");
  }
}

/**
 * Send a further piece of something long: while the client has not taken what came before, it waits.
 * @param {ConnName} conn
 * @param {string} base64
 * @param {string} told
 */
function sendWhenThereIsRoom(conn, base64, told) {
  return perform(told, async () => {
    for (let tries = 0; ; tries += 1) {
      try {
        return await request("POST", `connections/${conn}/send`, { base64 });
      } catch (error) {
        if (!(error instanceof Problem && error.code === "write_buffer_full") || tries === MOST_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  });
}
