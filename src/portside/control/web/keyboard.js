/**
 * Keys: one letter each, shown by `?`. They can be switched off, for readers whose speech or screen reader types them.
 */

import { element } from "./dom.js";
import { open } from "./dialogs.js";

const OFF = "portside.keys-off";

/** @typedef {{key: string, text: string, act: () => void, group: string}} Shortcut */

/** @type {Shortcut[]} */
const shortcuts = [];

/**
 * @param {string} group
 * @param {[key: string, text: string, act: () => void][]} keys
 */
export function define(group, keys) {
  for (const [key, text, act] of keys) shortcuts.push({ key, text, act, group });
}

/**
 * Whether a key belongs to the element where it is pressed: all but Escape to a field, Enter to whatever it activates.
 * @param {string} key
 * @param {EventTarget | null} at
 */
function isTaken(key, at) {
  if (!(at instanceof Element) || key === "Escape") return false;
  if (key === "Enter") return at.closest("a, button, input, select, summary, textarea") !== null;
  if (at instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(at.type);
  return at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement;
}

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]") || isTaken(key, target)) return;
  if (localStorage.getItem(OFF) && key !== "Escape" && key !== "?") return;
  const found = shortcuts.find((shortcut) => shortcut.key === key);
  if (!found) return;
  event.preventDefault();
  found.act();
});

/** Show the keys. */
export function help() {
  const groups = [...new Set(shortcuts.map(({ group }) => group))].map((group) =>
    element(
      "section",
      {},
      element("h3", {}, group),
      element(
        "dl",
        { class: "keys" },
        ...shortcuts
          .filter((shortcut) => shortcut.group === group)
          .map(({ key, text }) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, text))),
      ),
    ),
  );
  const box = element("input", { type: "checkbox", id: "keys-on", checked: !localStorage.getItem(OFF) });
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  const label = element("label", { class: "check" }, box, "Single letters act (? and Esc always do)");
  open("Keys", [element("div", { class: "key-groups" }, ...groups), label], [
    element("button", { value: "ok", type: "submit", class: "primary", autofocus: true }, "Close"),
  ]);
}
