/**
 * A button that opens a list of others.
 */

import { button, element } from "./dom.js";

/**
 * @param {string} text
 * @param {[text: string, act: () => void][]} entries
 */
export function menu(text, entries) {
  const list = element("div", { class: "menu-list" });
  const made = element("details", { class: "menu" }, element("summary", {}, text), list);
  for (const [name, act] of entries) {
    list.append(
      button(name, () => {
        made.open = false;
        act();
      }),
    );
  }
  made.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !made.contains(relatedTarget)) made.open = false;
  });
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !made.open) return;
    event.stopPropagation();
    made.open = false;
    made.querySelector("summary")?.focus();
  });
  return made;
}
