/**
 * A list of the server with a filter above its table, of as many columns as there is room for, and its totals below.
 */

import { request, Unreachable, withQuery } from "./api.js";
import { element, setText } from "./dom.js";
import { FilterField } from "./filter-field.js";
import { everywhere } from "./findings.js";
import * as format from "./format.js";
import { failed } from "./notices.js";
import { facts, reach } from "./server-state.js";
import { Table } from "./table.js";

/** @template Item */
export class RowList {
  /** The names of the columns, with spaces between them. */
  shown = "";
  #totals = element("p", { class: "totals" });

  /**
   * @param {HTMLElement} root
   * @param {ListOptions<Item>} options
   * @param {...HTMLElement} tools
   */
  constructor(root, options, ...tools) {
    this.options = options;
    this.filter = new FilterField(options.path, options.placeholder, () => this.table.reset());
    /** @type {Table<Item>} */
    this.table = new Table({
      sort: "",
      ...options,
      load: (offset, limit, sort) =>
        request("GET", withQuery(options.path, { filter: this.filter.value, sort, offset, limit, ...options.which?.() })),
      loaded: (error) => this.#loaded(error),
    });
    root.append(element("div", { class: "toolbar" }, this.filter.element, ...tools), this.filter.error, this.table.element, this.#totals);
    new ResizeObserver(() => this.fit()).observe(this.table.root);
    for (const signal of [everywhere, facts]) signal.follow(() => this.fit());
  }

  /** Show the columns that there is room for, and ask for what is in them. */
  fit() {
    const width = this.table.root.clientWidth;
    const columns = this.options.columns(width || innerWidth);
    const names = columns.map(({ id }) => id).join(" ");
    if (names === this.shown) return;
    this.shown = names;
    this.table.show(columns);
    if (width && reach.value === "live") void this.table.refresh();
  }

  /** @param {unknown} error */
  #loaded(error) {
    if (error) {
      if (!this.filter.say(error) && !(error instanceof Unreachable)) failed(error);
      return;
    }
    this.filter.say(null);
    const { rows } = this.table;
    this.table.sayEmpty(this.filter.value ? "None matches the filter." : (this.options.none?.() ?? "None yet."));
    setText(this.#totals, this.options.totals?.(rows) ?? `${format.count(rows.total)} ${this.options.path}`);
  }
}
