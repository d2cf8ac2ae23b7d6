/**
 * Payload as bytes, as text with every control character visible, and as a hex dump.
 */

import { element } from "./dom.js";

const ESCAPES = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"], ["\0", "\\0"], ["\x1b", "\\x1b"]]);
// Control, format (such as those that turn the direction of text), private and unpaired characters, and separators.
const EACH_HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const encoder = new TextEncoder();

/**
 * The bytes of a message.
 * @param {{text?: string, base64?: string}} message
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function bytesOf(message) {
  if (message.base64 !== undefined) return Uint8Array.from(atob(message.base64), (letter) => letter.charCodeAt(0));
  return encoder.encode(message.text ?? "");
}

/**
 * @param {Uint8Array} bytes
 */
export function toBase64(bytes) {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    letters += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return btoa(letters);
}

/**
 * Bytes as text; what is no UTF-8 becomes U+DC80 to U+DCFF, one for each byte, which `visibleText` shows as `\xff`.
 * @param {Uint8Array} bytes
 */
export function looseText(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return decodeByCharacter(bytes);
  }
}

/** @param {Uint8Array} bytes */
function decodeByCharacter(bytes) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  let valid = 0; // where the bytes begin that are valid and not decoded yet
  for (let at = 0; at < bytes.length; ) {
    const length = lengthOfCharacter(bytes, at);
    if (length) {
      at += length;
      continue;
    }
    text += decoder.decode(bytes.subarray(valid, at)) + String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
    at += 1;
    valid = at;
  }
  return text + decoder.decode(bytes.subarray(valid));
}

/**
 * How many bytes the character has that begins there, 0 where none does (RFC 3629, section 4).
 * @param {Uint8Array} bytes
 * @param {number} at
 */
function lengthOfCharacter(bytes, at) {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let next = 1; next < length; next += 1) {
    const byte = bytes[at + next] ?? 0;
    if (byte < (next === 1 ? lowest : 0x80) || byte > (next === 1 ? highest : 0xbf)) return 0;
  }
  return length;
}

/**
 * Text with what cannot be seen written out, in spans of class `escape`. A newline is shown and breaks the line, but
 * for the last one, which only ends the message.
 * @param {string} text
 */
export function visibleText(text) {
  const shown = document.createDocumentFragment();
  let from = 0;
  for (const { 0: character, index } of text.matchAll(EACH_HIDDEN)) {
    if (index > from) shown.append(text.slice(from, index));
    const lineEnd = character === "\n" || character === "\r";
    shown.append(element("span", { class: lineEnd ? "escape line-end" : "escape" }, escaped(character)));
    from = index + character.length;
    if (character === "\n" && from < text.length) shown.append("\n");
  }
  if (from < text.length) shown.append(text.slice(from));
  return shown;
}

/**
 * A text in one line, for tables and labels.
 * @param {string} text
 */
export function oneLine(text) {
  return text.replaceAll(EACH_HIDDEN, escaped);
}

/** @param {string} character */
function escaped(character) {
  const known = ESCAPES.get(character);
  if (known) return known;
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/**
 * Offset, hex and ASCII, as `portside listen --format hex` writes them.
 * @param {Uint8Array} bytes
 * @param {number} width  bytes a line; with 8 or fewer the offset is short too
 */
export function hexDump(bytes, width) {
  const lines = [];
  const digits = width > 8 ? 8 : Math.max(4, bytes.length.toString(16).length);
  for (let at = 0; at < bytes.length; at += width) {
    const part = bytes.subarray(at, at + width);
    const hex = Array.from(part, (byte) => byte.toString(16).padStart(2, "0"));
    if (width > 8) hex.splice(8, 0, "");
    const ascii = Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
    lines.push(`${at.toString(16).padStart(digits, "0")}  ${hex.join(" ").padEnd(width * 3 + (width > 8 ? 1 : 0))} |${ascii.join("")}|`);
  }
  return lines.join("\n");
}

/**
 * Bytes written as TEXT is on the command line: `\n \r \t \0 \xHH \\` are understood.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function parseText(text) {
  /** @type {number[]} */
  const bytes = [];
  const pattern = /\\(?:x([0-9a-fA-F]{2})|([nrt0\\]))|\\|[^\\]+/gu;
  for (const match of text.matchAll(pattern)) {
    if (match[1]) bytes.push(Number.parseInt(match[1], 16));
    else if (match[2]) bytes.push({ n: 10, r: 13, t: 9, 0: 0, "\\": 92 }[match[2]] ?? 0);
    else if (match[0] === "\\") throw new SyntaxError("a backslash is followed by one of n r t 0 \\ or xHH");
    else for (const byte of encoder.encode(match[0])) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/**
 * Bytes written in hex, with or without spaces.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function parseHex(text) {
  const digits = text.replace(/0x|[\s:,]/g, "");
  const wrong = digits.match(/[^0-9a-fA-F]/);
  if (wrong) throw new SyntaxError(`${oneLine(wrong[0])} is no hex digit`);
  if (digits.length % 2) throw new SyntaxError("a byte is two hex digits, and one of them is missing");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
