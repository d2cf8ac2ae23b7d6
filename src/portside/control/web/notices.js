/**
 * Short notices at the lower edge: what was done, with a way back, and what failed.
 */

import { button, byId, element } from "./dom.js";

const SHOWN_MS = 10_000;
const MOST = 4;

/** @type {(() => void) | null} */
let newestUndo = null;

/**
 * Say that something was done.
 * @param {string} text
 * @param {() => void} [undo]  takes it back
 */
export function done(text, undo) {
  show(text, "done", undo);
}

/**
 * Say that something failed.
 * @param {unknown} error
 */
export function failed(error) {
  show(error instanceof Error ? error.message : String(error), "failed");
}

/** Take back what the newest notice offers to take back. */
export function undoNewest() {
  newestUndo?.();
}

/**
 * @param {string} text
 * @param {"done" | "failed"} kind
 * @param {() => void} [undo]
 */
function show(text, kind, undo) {
  const region = byId(kind === "failed" ? "alerts" : "notices", HTMLElement);
  const notice = element("div", { class: `notice ${kind}` }, element("span", {}, text));
  const remove = () => {
    clearTimeout(timer);
    notice.remove();
    if (newestUndo === takeBack) newestUndo = null;
  };
  const takeBack = () => {
    remove();
    undo?.();
  };
  if (undo) {
    newestUndo = takeBack;
    notice.append(button("Undo", takeBack));
  }
  notice.append(button("×", remove, { class: "quiet", "aria-label": "Dismiss" }));
  let timer = setTimeout(remove, SHOWN_MS);
  for (const hold of ["pointerenter", "focusin"]) notice.addEventListener(hold, () => clearTimeout(timer));
  for (const release of ["pointerleave", "focusout"]) {
    notice.addEventListener(release, () => {
      clearTimeout(timer);
      timer = setTimeout(remove, SHOWN_MS);
    });
  }
  region.append(notice);
  while (region.childElementCount > MOST) region.firstElementChild?.remove();
}
