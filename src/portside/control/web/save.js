/**
 * What the page holds of a connection as a file of the reader's.
 */

import { element } from "./dom.js";
import { bytesOf } from "./payload.js";

/** @typedef {import("./message-store.js").MessageStore} MessageStore */

/**
 * @param {MessageStore} store
 * @param {"in" | "out" | "jsonl"} what
 */
export function saveMessages(store, what) {
  const name = `portside-${String(store.conn).replace("/", "-")}`;
  if (what === "jsonl") {
    save(`${name}.jsonl`, store.messages.map((message) => `${JSON.stringify(message)}\n`), "application/jsonl");
    return;
  }
  const parts = store.messages.filter(({ direction }) => direction === what).map((message) => bytesOf(message));
  save(`${name}-${what}.bin`, parts, "application/octet-stream");
}

/**
 * @param {string} name
 * @param {BlobPart[]} parts
 * @param {string} type
 */
function save(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
