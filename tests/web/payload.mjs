/** Bytes as text and back: what the page shows of any bytes tells which they were. */

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { bytesOf, hexDump, looseText, oneLine, parseHex, parseText, toBase64 } = await import(pathToFileURL(process.argv[2]));
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
// Pieces of characters of all lengths, surrogates, overlong forms, and what is above U+10FFFF.
const PIECES = [0x41, 0x0a, 0xc3, 0xbc, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xf4, 0x90, 0xe0, 0xc0, 0xff];

let state = 12345;
function random(below) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

function bytesOfLoose(text) {
  return [...text].flatMap((character) => {
    const code = character.codePointAt(0);
    return code >= 0xdc80 && code <= 0xdcff ? [code - 0xdc00] : [...encoder.encode(character)];
  });
}

for (let count = 0; count < 50_000; count += 1) {
  const bytes = Uint8Array.from({ length: 1 + random(6) }, () => PIECES[random(PIECES.length)]);
  const text = looseText(bytes);
  let valid = null;
  try {
    valid = strict.decode(bytes);
  } catch {
    // It is no UTF-8.
  }
  if (valid !== null) assert.equal(text, valid);
  assert.deepEqual(bytesOfLoose(text), [...bytes]);
  assert.deepEqual([...bytesOf({ base64: toBase64(bytes) })], [...bytes]);
  assert.deepEqual([...parseHex(hexDump(bytes, 8).slice(6, 29))], [...bytes]);
}

assert.deepEqual([...parseText("a\\n\\x00\\\\ü")], [97, 10, 0, 92, 0xc3, 0xbc]);
assert.throws(() => parseText("\\q"), SyntaxError);
assert.throws(() => parseHex("0g"), SyntaxError);
assert.throws(() => parseHex("123"), SyntaxError);
assert.equal(oneLine("\x1b[2J\u202e\n\udcff"), "\\x1b[2J\\u{202e}\\n\\xff");
