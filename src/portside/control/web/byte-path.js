/**
 * Where the bytes of a connection are: each direction as the stages that they pass, from left to right.
 */

import { element, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * A stage: `waiting` stages hold bytes now and have a bar, the others count what has passed.
 * @typedef {[name: string, label: string, title: string, waiting?: boolean]} Stage
 */

/** @type {Record<"in" | "out", {title: string, stages: Stage[]}>} */
const DIRECTIONS = {
  in: {
    title: "From the client",
    stages: [
      ["received_by_kernel", "received by the kernel", "Bytes that came and that the kernel has acknowledged"],
      ["recv_q", "in Recv-Q", "Bytes that the kernel has and Portside has not read", true],
      ["read", "read by Portside", "Bytes that Portside has read"],
    ],
  },
  out: {
    title: "To the client",
    stages: [
      ["written", "written", "Bytes that were given to the connection to send"],
      ["buffered", "in our buffer", "Bytes that the kernel has not taken yet", true],
      ["unsent", "unsent", "Bytes that the kernel has and has not sent", true],
      ["unacked", "under way", "Bytes that are sent and not acknowledged", true],
      ["acked", "acknowledged", "Bytes that the client's kernel has"],
    ],
  },
};

export class BytePath {
  /** @type {{direction: "in" | "out", name: string, cell: HTMLElement, figure: HTMLElement, bar: HTMLElement | null}[]} */
  #cells = [];

  constructor() {
    this.element = element("div", { class: "byte-paths" });
    for (const [name, { title, stages }] of Object.entries(DIRECTIONS)) {
      const direction = name === "in" ? "in" : "out";
      const list = element("ol", { class: `byte-path ${direction}` });
      for (const [place, label, about, waiting] of stages) {
        const figure = element("span", { class: "stage-figure" });
        const bar = waiting ? element("span", { class: "stage-bar" }) : null;
        const cell = element("li", { class: waiting ? "waiting" : "", title: about }, figure, element("span", { class: "stage-label" }, label));
        if (bar) cell.append(element("span", { class: "stage-track", "aria-hidden": "true" }, bar));
        list.append(cell);
        this.#cells.push({ direction, name: place, cell, figure, bar });
      }
      this.element.append(element("section", {}, element("h3", {}, title), list));
    }
  }

  /**
   * @param {BytePlaces | null} places
   * @param {{in: number | null, out: number | null}} limits  what the kernel's buffers hold, bytes
   */
  show(places, limits) {
    for (const { direction, name, cell, figure, bar } of this.#cells) {
      const value = /** @type {Record<string, number | null>} */ (places?.[direction] ?? {})[name] ?? null;
      setText(figure, format.bytes(value));
      cell.classList.toggle("some", Boolean(bar && value));
      if (!bar) continue;
      const limit = limits[direction] || 65536;
      const share = value ? Math.max(0.02, Math.min(1, value / limit)) : 0;
      bar.style.transform = `scaleX(${share.toFixed(3)})`;
    }
  }
}
