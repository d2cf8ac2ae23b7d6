/**
 * A table of any length: elements exist for the rows in view alone, and a cell is written only when its text differs.
 */

import { button, element, setText } from "./dom.js";
import { RowWindow } from "./row-window.js";

const ROW_PX = 30;
const OVERSCAN = 4;
const TALLEST_PX = 8_000_000; // browsers limit the height of an element

/** @typedef {{row: HTMLElement, cells: HTMLElement[], texts: string[], tones: string[], index: number}} Line */

/** @template Item */
export class Table {
  /** @type {Line[]} */
  #lines = [];
  /** @type {Column<Item>[]} */
  #columns = [];
  #cursor = 0;
  #cursorKey = "";
  #openKey = "";
  #drawn = false;

  /** @param {TableOptions<Item>} options */
  constructor(options) {
    this.options = options;
    this.sort = options.sort;
    this.head = element("div", { class: "table-head", role: "row", "aria-rowindex": 1 });
    this.body = element("div", { class: "table-body", role: "rowgroup" });
    this.empty = element("p", { class: "table-empty", role: "presentation" });
    this.root = element(
      "div",
      { class: "table", role: "grid", tabindex: 0, "aria-label": options.label, "aria-readonly": "true" },
      element("div", { role: "rowgroup", class: "table-top" }, this.head),
      this.body,
    );
    this.element = element("div", { class: "table-frame" }, this.root, this.empty);
    this.rows = new RowWindow(
      (offset, limit) => options.load(offset, limit, this.sort),
      (error) => {
        this.#draw();
        options.loaded(error);
      },
    );
    this.root.addEventListener("scroll", () => this.#plan(), { passive: true });
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#plan()).observe(this.root);
  }

  /** @param {Column<Item>[]} columns */
  show(columns) {
    this.#columns = columns;
    this.root.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
    this.root.setAttribute("aria-colcount", String(columns.length));
    this.head.replaceChildren(...columns.map((column) => this.#heading(column)));
    this.#lines = [];
    this.body.replaceChildren();
    this.#draw();
  }

  /** Ask for the rows in view again. */
  refresh() {
    return this.rows.refresh();
  }

  /** Show another list from its first row. */
  reset() {
    this.root.scrollTop = 0;
    this.#cursor = 0;
    this.#cursorKey = "";
    this.rows.reset();
  }

  /**
   * Mark the row that is open beside the table.
   * @param {string} key
   */
  markOpen(key) {
    this.#openKey = key;
    if (key) this.#cursorKey = key;
    this.#draw();
  }

  /** @param {string} text  shown where there are no rows */
  sayEmpty(text) {
    setText(this.empty, this.rows.total ? "" : text);
  }

  /** @param {Column<Item>} column */
  #heading(column) {
    const cell = element("div", { role: "columnheader", class: column.number ? "number" : "", title: column.title });
    if (!column.sort) {
      cell.append(column.heading);
      return cell;
    }
    const descending = this.sort === `-${column.sort}`;
    const sorted = descending || this.sort === column.sort;
    cell.setAttribute("aria-sort", !sorted ? "none" : descending ? "descending" : "ascending");
    const mark = element("span", { class: "sort-mark", "aria-hidden": "true" }, sorted ? (descending ? "↓" : "↑") : "");
    const act = button(column.heading, () => this.sortBy(column.sort ?? "", Boolean(column.number)));
    if (column.number) act.prepend(mark);
    else act.append(mark);
    cell.append(act);
    return cell;
  }

  /**
   * Sort by a column, or the other way round where it is sorted so; numbers start with the greatest.
   * @param {string} name
   * @param {boolean} greatestFirst
   */
  sortBy(name, greatestFirst) {
    const first = greatestFirst ? `-${name}` : name;
    const second = greatestFirst ? name : `-${name}`;
    this.sort = this.sort === first ? second : first;
    const focused = this.head.contains(document.activeElement)
      ? [...this.head.children].findIndex((cell) => cell.contains(document.activeElement))
      : -1;
    this.head.replaceChildren(...this.#columns.map((column) => this.#heading(column)));
    this.head.children[focused]?.querySelector("button")?.focus();
    this.options.sorted?.(this.sort);
    this.reset();
  }

  #plan() {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      const { first, count } = this.#view();
      this.rows.see(first, count);
      this.#draw();
    });
  }

  #view() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW_PX) - OVERSCAN);
    return { first, count: Math.ceil(this.root.clientHeight / ROW_PX) + 2 * OVERSCAN };
  }

  #draw() {
    const { total } = this.rows;
    const height = `${Math.min(total * ROW_PX, TALLEST_PX)}px`;
    if (this.body.style.height !== height) this.body.style.height = height;
    this.root.setAttribute("aria-rowcount", String(total + 1));
    this.#followCursor();
    const { first, count } = this.#view();
    while (this.#lines.length < count) this.#lines.push(this.#line());
    const seen = new Set();
    for (let index = first; index < first + this.#lines.length; index += 1) {
      const line = this.#lines[index % this.#lines.length];
      if (!line) continue;
      seen.add(index);
      this.#write(line, index, index < total);
    }
    this.root.setAttribute("aria-activedescendant", seen.has(this.#cursor) && total ? this.#id(this.#cursor) : "");
  }

  /** @param {number} index */
  #id(index) {
    return `row-${this.options.label.replaceAll(/\W/g, "")}-${index % this.#lines.length}`;
  }

  /** @returns {Line} */
  #line() {
    const cells = this.#columns.map((column) =>
      element("div", { role: "gridcell", class: `${column.number ? "number" : ""} ${column.data ? "data" : ""}` }),
    );
    const row = element("div", { class: "table-row", role: "row", hidden: true }, ...cells);
    this.body.append(row);
    return { row, cells, texts: [], tones: [], index: -1 };
  }

  /**
   * @param {Line} line
   * @param {number} index
   * @param {boolean} exists
   */
  #write(line, index, exists) {
    const { row } = line;
    if (row.hidden === exists) row.hidden = !exists;
    if (!exists) return;
    if (line.index !== index) {
      line.index = index;
      row.id = this.#id(index);
      row.style.transform = `translateY(${index * ROW_PX}px)`;
      row.setAttribute("aria-rowindex", String(index + 2));
    }
    const item = this.rows.at(index);
    const key = item === undefined ? "" : this.options.key(item);
    const open = key !== "" && key === this.#openKey;
    const classes = `table-row ${item ? (this.options.rowTone?.(item) ?? "") : "waiting"}${open ? " open" : ""}${index === this.#cursor ? " cursor" : ""}`;
    if (row.className !== classes) row.className = classes;
    if (open !== (row.getAttribute("aria-selected") === "true")) row.setAttribute("aria-selected", String(open));
    for (const [at, column] of this.#columns.entries()) {
      const cell = line.cells[at];
      if (!cell) continue;
      const text = item === undefined ? "" : column.text(item);
      if (line.texts[at] !== text) {
        line.texts[at] = text;
        cell.textContent = text;
      }
      if (!column.tone) continue;
      const tone = item === undefined ? "" : column.tone(item);
      if (line.tones[at] !== tone) {
        line.tones[at] = tone;
        cell.dataset.tone = tone;
      }
    }
  }

  /** Keep the cursor on its row where rows before it came or went. */
  #followCursor() {
    if (!this.#cursorKey) return;
    for (const [index, item] of this.rows.items) {
      if (this.options.key(item) === this.#cursorKey) {
        this.#cursor = index;
        return;
      }
    }
  }

  /** @param {number} index */
  moveTo(index) {
    this.#cursor = Math.max(0, Math.min(index, this.rows.total - 1));
    const item = this.rows.at(this.#cursor);
    this.#cursorKey = item === undefined ? "" : this.options.key(item);
    const top = this.#cursor * ROW_PX;
    const space = this.root.clientHeight - this.head.offsetHeight - ROW_PX;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top > this.root.scrollTop + space) this.root.scrollTop = top - space;
    this.#draw();
  }

  /** @param {number} rows */
  move(rows) {
    this.moveTo(this.#cursor + rows);
  }

  /** Open the row at the cursor. */
  openCursor() {
    const item = this.rows.at(this.#cursor);
    if (item !== undefined) this.options.open?.(item);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.root) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW_PX) - 2);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      PageDown: () => this.move(page),
      PageUp: () => this.move(-page),
      Home: () => this.moveTo(0),
      End: () => this.moveTo(this.rows.total - 1),
      Enter: () => this.openCursor(),
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (getSelection()?.toString()) return;
    const row = event.target instanceof Element ? event.target.closest(".table-row") : null;
    const line = this.#lines.find((one) => one.row === row);
    if (!line) return;
    this.moveTo(line.index);
    this.openCursor();
  }
}
