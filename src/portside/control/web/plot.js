/**
 * A line over time, drawn in SVG so that the theme colours it.
 */

import { drawing, element, setText } from "./dom.js";

/**
 * The path of a line; null breaks it. The drawing is 1000 × 100 units and is stretched to its box.
 * @param {(number | null)[]} values
 * @param {number[]} places  0 to 1, from left to right
 * @param {number} top  the value at the upper edge
 */
function path(values, places, top) {
  let drawn = "";
  let pen = "M";
  for (const [at, value] of values.entries()) {
    if (value === null || value === undefined) {
      pen = "M";
      continue;
    }
    const x = Math.round((places[at] ?? 0) * 10000) / 10;
    const y = Math.round((100 - (value / top) * 98) * 10) / 10;
    drawn += `${pen}${x} ${y}`;
    pen = "L";
  }
  return drawn;
}

/** A small line without axes, for the header. */
export class Sparkline {
  #line = drawing("path", { class: "line", "vector-effect": "non-scaling-stroke" });

  constructor() {
    this.element = drawing(
      "svg",
      { class: "sparkline", viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      this.#line,
    );
  }

  /**
   * @param {(number | null)[]} values  from old to new
   * @param {number} length  how many values fill the width; fewer stand at the right
   */
  draw(values, length) {
    const top = Math.max(1, ...values.map((value) => value ?? 0));
    const places = values.map((_, at) => (length - values.length + at) / (length - 1));
    this.#line.setAttribute("d", path(values, places, top));
  }
}

/** A line with its greatest value, its value at a chosen time and a mark there. */
export class Plot {
  #line = drawing("path", { class: "line", "vector-effect": "non-scaling-stroke" });
  #area = drawing("path", { class: "area" });
  #mark = drawing("line", { class: "mark", y1: 0, y2: 100, "vector-effect": "non-scaling-stroke" });
  #value = element("span", { class: "plot-value" });
  #most = element("span", { class: "plot-most" });
  #box;

  /**
   * @param {string} title
   * @param {string} explanation
   * @param {(value: number | null) => string} write
   */
  constructor(title, explanation, write) {
    this.title = title;
    this.write = write;
    this.#box = drawing(
      "svg",
      { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img" },
      this.#area,
      this.#line,
      this.#mark,
    );
    this.element = element(
      "figure",
      { class: "plot", title: explanation },
      element("figcaption", {}, element("span", {}, title), this.#value),
      this.#box,
      this.#most,
    );
  }

  /**
   * @param {(number | null)[]} values
   * @param {number[]} places  0 to 1
   */
  draw(values, places) {
    const known = values.filter((value) => value !== null && value !== undefined);
    const most = Math.max(0, ...known);
    const line = path(values, places, most || 1);
    this.#line.setAttribute("d", line);
    const whole = known.length === values.length && known.length > 1;
    this.#area.setAttribute("d", whole ? `${line}L${(places.at(-1) ?? 1) * 1000} 100L${(places[0] ?? 0) * 1000} 100Z` : "");
    setText(this.#most, known.length ? `most ${this.write(most)}` : "not known");
    this.element.classList.toggle("unknown", !known.length);
  }

  /**
   * Show the value at a time.
   * @param {number} place  0 to 1
   * @param {number | null} value
   * @param {string} when
   */
  point(place, value, when) {
    for (const name of ["x1", "x2"]) this.#mark.setAttribute(name, String(place * 1000));
    const text = this.write(value);
    setText(this.#value, text);
    this.#box.setAttribute("aria-label", `${this.title}: ${text} ${when}, ${this.#most.textContent}`);
  }
}
