/**
 * Modal questions: a confirmation, one line of input, and the page's own dialogs.
 */

import { button, element } from "./dom.js";

/**
 * Show a dialog until it closes; its return value, "" when it was dismissed.
 * @param {string} title
 * @param {(Node | string)[]} content
 * @param {HTMLElement[]} buttons
 * @returns {{dialog: HTMLDialogElement, closed: Promise<string>}}
 */
export function open(title, content, buttons) {
  const heading = element("h2", { id: "dialog-title" }, title);
  const form = element("form", { method: "dialog" }, heading, ...content, element("div", { class: "buttons" }, ...buttons));
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" }, form);
  document.body.append(dialog);
  const before = document.activeElement;
  const closed = new Promise((/** @type {(value: string) => void} */ resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(dialog.returnValue);
    });
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { submitter } = event;
    dialog.close(submitter instanceof HTMLButtonElement ? submitter.value : "ok");
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close("");
  });
  dialog.showModal();
  return { dialog, closed };
}

/**
 * Ask whether to do what cannot be taken back.
 * @param {string} title
 * @param {string} explanation
 * @param {string} verb
 * @returns {Promise<boolean>}
 */
export async function confirm(title, explanation, verb) {
  const cancel = element("button", { value: "", type: "submit" }, "Cancel");
  const act = element("button", { value: "yes", type: "submit", class: "danger", autofocus: true }, verb);
  return (await open(title, [element("p", {}, explanation)], [cancel, act]).closed) === "yes";
}

/**
 * Ask for one line of text; null when it was dismissed.
 * @param {string} title
 * @param {{label: string, value: string, hint: string, verb: string, choices?: string[]}} options
 * @returns {Promise<string | null>}
 */
export async function ask(title, { label, value, hint, verb, choices = [] }) {
  const list = element("datalist", { id: "dialog-choices" }, ...choices.map((text) => element("option", { value: text })));
  const input = element("input", { value, class: "data", list: list.id, autofocus: true, spellcheck: "false", required: true });
  const cancel = button("Cancel", () => dialog.close(""));
  const act = element("button", { value: "ok", type: "submit", class: "primary" }, verb);
  const field = element("label", { class: "field" }, label, input);
  input.addEventListener("focus", () => input.select());
  const { dialog, closed } = open(title, [field, list, element("p", { class: "hint" }, hint)], [cancel, act]);
  return (await closed) === "ok" ? input.value.trim() : null;
}
