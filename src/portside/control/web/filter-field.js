/**
 * A field for a filter, whose error is shown under the place where it is.
 */

import { Problem } from "./api.js";
import { element } from "./dom.js";

const PAUSE_MS = 250; // after the last key, before the server is asked

export class FilterField {
  #timer = 0;

  /**
   * @param {string} name
   * @param {string} placeholder
   * @param {(filter: string) => void} apply
   */
  constructor(name, placeholder, apply) {
    const error = `${name}-filter-error`;
    this.input = element("input", { type: "search", id: `${name}-filter`, class: "data", placeholder, spellcheck: "false", autocomplete: "off", "aria-describedby": error });
    this.error = element("div", { id: error, class: "filter-error", role: "status" });
    this.element = element("div", { class: "filter" }, element("label", { for: this.input.id }, "Filter"), this.input);
    const tell = () => apply(this.value);
    this.input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(tell, PAUSE_MS);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        clearTimeout(this.#timer);
        tell();
      }
    });
  }

  get value() {
    return this.input.value.trim();
  }

  /**
   * Show what is wrong with the filter, or that nothing is; whether the error was one of the filter.
   * @param {unknown} error
   */
  say(error) {
    const wrong = error instanceof Problem && error.position !== null;
    this.input.setAttribute("aria-invalid", String(wrong));
    if (!wrong) {
      if (this.error.childElementCount) this.error.replaceChildren();
      return false;
    }
    const text = this.value;
    const from = Math.min(error.position ?? 0, text.length);
    const to = Math.min(text.length, from + Math.max(1, error.length));
    const place = element("mark", {}, text.slice(from, to) || " ");
    this.error.replaceChildren(
      element("code", {}, text.slice(0, from), place, text.slice(to)),
      element("span", {}, error.message),
    );
    return true;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }
}

