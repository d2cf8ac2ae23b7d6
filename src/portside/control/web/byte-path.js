/**
 * Where the bytes of a connection are: each direction as the stages that they pass, from left to right.
 */

import { element, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * A stage: `waiting` stages hold bytes now and have a bar, the others count what has passed.
 * @typedef {{name: string, label: string, title: string, waiting: boolean}} Stage
 */

/** @type {Record<"in" | "out", {title: string, stages: Stage[]}>} */
const DIRECTIONS = {
  in: {
    title: "From the client",
    stages: [
      { name: "received_by_kernel", label: "received by the kernel", title: "Bytes that came and that the kernel has acknowledged", waiting: false },
      { name: "recv_q", label: "in Recv-Q", title: "Bytes that the kernel has and Portside has not read", waiting: true },
      { name: "read", label: "read by Portside", title: "Bytes that Portside has read", waiting: false },
    ],
  },
  out: {
    title: "To the client",
    stages: [
      { name: "written", label: "written", title: "Bytes that were given to the connection to send", waiting: false },
      { name: "buffered", label: "in our buffer", title: "Bytes that the kernel has not taken yet", waiting: true },
      { name: "unsent", label: "unsent", title: "Bytes that the kernel has and has not sent", waiting: true },
      { name: "unacked", label: "under way", title: "Bytes that are sent and not acknowledged", waiting: true },
      { name: "acked", label: "acknowledged", title: "Bytes that the client's kernel has", waiting: false },
    ],
  },
};

export class BytePath {
  /** @type {{direction: "in" | "out", stage: Stage, cell: HTMLElement, figure: HTMLElement, bar: HTMLElement | null}[]} */
  #cells = [];

  constructor() {
    this.element = element("div", { class: "byte-paths" });
    for (const [name, { title, stages }] of Object.entries(DIRECTIONS)) {
      const direction = name === "in" ? "in" : "out";
      const list = element("ol", { class: `byte-path ${direction}` });
      for (const stage of stages) {
        const figure = element("span", { class: "stage-figure" });
        const bar = stage.waiting ? element("span", { class: "stage-bar" }) : null;
        const cell = element("li", { class: stage.waiting ? "waiting" : "", title: stage.title }, figure, element("span", { class: "stage-label" }, stage.label));
        if (bar) cell.append(element("span", { class: "stage-track", "aria-hidden": "true" }, bar));
        list.append(cell);
        this.#cells.push({ direction, stage, cell, figure, bar });
      }
      this.element.append(element("section", {}, element("h3", {}, title), list));
    }
  }

  /**
   * @param {BytePlaces | null} places
   * @param {{in: number | null, out: number | null}} limits  what the kernel's buffers hold, bytes
   */
  show(places, limits) {
    for (const { direction, stage, cell, figure, bar } of this.#cells) {
      const value = /** @type {Record<string, number | null>} */ (places?.[direction] ?? {})[stage.name] ?? null;
      setText(figure, format.bytes(value));
      cell.classList.toggle("some", stage.waiting && Boolean(value));
      if (!bar) continue;
      const limit = limits[direction] || 65536;
      const share = value ? Math.max(0.02, Math.min(1, value / limit)) : 0;
      bar.style.transform = `scaleX(${share.toFixed(3)})`;
    }
  }
}
