/**
 * One message of a transcript as an element: time, direction, payload as text or hex, and what can be done with it.
 */

import { button, element } from "./dom.js";
import * as format from "./format.js";
import { bytesOf, hexDump, looseText, visibleText } from "./payload.js";

/** @typedef {"text" | "hex" | "both"} Mode */

const SHORT_TEXT = 4000; // characters shown of a message until its reader asks for more
const SHORT_HEX = 1024; // bytes
const LONGEST = 262_144; // characters or bytes of one message that the page shows at all

/**
 * @typedef {{
 *   copy: (text: string) => void,
 *   again: ((message: Message) => void) | null,
 * }} MessageActs
 */

/**
 * @param {Message} message
 * @param {Mode} mode
 * @param {number} width  bytes a line of hex
 * @param {MessageActs} acts
 */
export function messageView(message, mode, width, acts) {
  const incoming = message.direction === "in";
  const parts = element("div", { class: "message-parts" });
  if (mode !== "hex") parts.append(textPart(message));
  if (mode !== "text") parts.append(hexPart(message, width));
  const tools = element(
    "span",
    { class: "message-tools" },
    button("Copy", () => acts.copy(mode === "hex" ? hexDump(bytesOf(message), 16) : looseText(bytesOf(message)))),
  );
  if (acts.again) {
    const again = acts.again;
    tools.append(button("Send again", () => again(message)));
  }
  return element(
    "li",
    { class: `message ${message.direction}`, "data-seq": message.seq },
    element("time", { datetime: message.at, title: message.at }, format.clock(message.at, true)),
    element("span", { class: "arrow", "aria-hidden": "true" }, incoming ? ">" : "<"),
    element("span", { class: "hidden" }, incoming ? "from the client" : "to the client"),
    parts,
    element("span", { class: "message-size" }, format.bytes(message.size)),
    tools,
  );
}

/** @param {Message} message */
function textPart(message) {
  const part = element("div", { class: "payload text" });
  if (message.text !== undefined) {
    const { text } = message;
    fill(part, text.length, SHORT_TEXT, format.count, "characters", (length) => visibleText(text.slice(0, length)));
  } else {
    const bytes = bytesOf(message);
    fill(part, bytes.length, SHORT_TEXT, format.bytes, "", (length) => visibleText(looseText(bytes.subarray(0, length))));
  }
  return part;
}

/**
 * @param {Message} message
 * @param {number} width
 */
function hexPart(message, width) {
  const bytes = bytesOf(message);
  const part = element("pre", { class: "payload hex" });
  fill(part, bytes.length, SHORT_HEX, format.bytes, "", (length) => document.createTextNode(hexDump(bytes.subarray(0, length), width)));
  return part;
}

/**
 * Show the beginning of something long, with a button for the rest.
 * @param {HTMLElement} part
 * @param {number} whole
 * @param {number} short
 * @param {(count: number) => string} write
 * @param {string} unit
 * @param {(length: number) => Node} render
 */
function fill(part, whole, short, write, unit, render) {
  part.replaceChildren(render(Math.min(whole, short)));
  if (whole <= short) return;
  const most = Math.min(whole, LONGEST);
  const rest = whole > most ? `; the first ${write(most)} are shown, a download has all` : "";
  const more = button(`Show all ${write(whole)} ${unit}`.trim() + rest, () => part.replaceChildren(render(most)), { class: "more" });
  part.append("\n", more);
}
