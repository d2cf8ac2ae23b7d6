/**
 * The table of the connections: filter, order, open or closed, columns, and the totals of what the filter leaves.
 */

import { request, Unreachable, withQuery } from "./api.js";
import { choose, chosen, COLUMNS, columnsFor } from "./columns.js";
import { open as openDialog } from "./dialogs.js";
import { button, choice, element, setText } from "./dom.js";
import { FilterField } from "./filter-field.js";
import { everywhere, ofConnection, withMarks } from "./findings.js";
import * as format from "./format.js";
import { failed } from "./notices.js";
import { go } from "./routes.js";
import { facts, reach } from "./server-state.js";
import { Table } from "./table.js";

const MOST_WITH_OWNERS = 2000; // open connections: of more the server needs seconds for the programs
const NAMES_PX = 64; // by which names of several servers are wider than numbers
const STATES = /** @type {[string, string][]} */ ([["open", "Open"], ["closed", "Closed"], ["all", "All"]]);

export class ConnectionList {
  #state = "open";
  #fields = "";
  #shown = "";
  #totals = element("p", { class: "totals" });

  /** @param {HTMLElement} root */
  constructor(root) {
    this.filter = new FilterField("connections", "idle > 10s and received > 64k", () => this.table.reset());
    this.states = choice("Which connections", STATES, this.#state, (state) => this.show(state));
    this.table = new Table({
      label: "Connections",
      key: (/** @type {ConnectionItem} */ connection) => String(connection.conn),
      sort: "conn",
      load: (offset, limit, sort) =>
        request("GET", withQuery("connections", { filter: this.filter.value, state: this.#state, sort, offset, limit, fields: this.#wanted() })),
      loaded: (error) => this.#loaded(error),
      open: ({ conn }) => go({ conn }),
      rowTone: ({ state }) => (state === "closed" ? "dim" : ""),
    });
    const columns = button("Columns", () => void this.chooseColumns());
    root.append(
      element("div", { class: "toolbar" }, this.filter.element, this.states.group, columns),
      this.filter.error,
      this.table.element,
      this.#totals,
    );
    new ResizeObserver(() => this.#fit()).observe(this.table.root);
    this.#fit();
    for (const signal of [everywhere, facts]) signal.follow(() => this.#fit());
  }

  /** @param {string} state */
  show(state) {
    this.#state = state;
    this.states.mark(state);
    this.table.reset();
  }

  nextState() {
    const at = STATES.findIndex(([state]) => state === this.#state);
    this.show(STATES[(at + 1) % STATES.length]?.[0] ?? "open");
  }

  #wanted() {
    return (facts.value?.counts.open ?? 0) > MOST_WITH_OWNERS ? this.#fields.replace(/,owners\b/, "") : this.#fields;
  }

  #fit() {
    const width = (this.table.root.clientWidth || innerWidth) - (facts.value?.servers ? NAMES_PX : 0);
    let own = columnsFor(width);
    const columns = withMarks((room) => (own = columnsFor(room)), width, ({ conn }) => ofConnection(conn));
    const names = columns.map(({ id }) => id).join(" ");
    if (names === this.#shown) return;
    this.#shown = names;
    this.#fields = [...new Set(["conn", "state", "holds", "reason", ...own.flatMap(({ fields }) => fields)])].join(",");
    this.table.show(columns);
    if (reach.value === "live") void this.table.refresh();
  }

  /** @param {unknown} error */
  #loaded(error) {
    if (error) {
      if (!this.filter.say(error) && !(error instanceof Unreachable)) failed(error);
      return;
    }
    this.filter.say(null);
    const { total, totals } = this.table.rows;
    const filtered = this.filter.value !== "";
    this.table.sayEmpty(filtered ? "No connection matches the filter." : this.#state === "open" ? "No client is connected." : "None yet.");
    const parts = [`${format.count(total)} ${filtered ? "match" : this.#state === "all" ? "connections" : this.#state}`];
    if (totals) {
      parts.push(`${format.bytes(totals.received)} in`, `${format.bytes(totals.sent)} out`);
      if (this.#state !== "closed") parts.push(`Recv-Q ${format.bytes(totals.recv_q)}`, `Send-Q ${format.bytes(totals.send_q)}`);
    }
    setText(this.#totals, parts.join("  ·  "));
  }

  async chooseColumns() {
    const now = new Set(this.#shown.split(" "));
    const boxes = COLUMNS.map(({ id, heading, title }) => {
      const box = element("input", { type: "checkbox", name: id, checked: now.has(id) });
      return { id, box, label: element("label", { class: "check" }, box, element("span", {}, heading === "#" ? "Number" : heading), element("span", { class: "muted" }, title)) };
    });
    const buttons = [
      element("button", { value: "auto", type: "submit", disabled: chosen() === null }, "As the width allows"),
      element("button", { value: "ok", type: "submit", class: "primary" }, "Show these"),
    ];
    const answer = await openDialog("Columns", [element("div", { class: "checks" }, ...boxes.map(({ label }) => label))], buttons).closed;
    const names = boxes.filter(({ box }) => box.checked).map(({ id }) => id);
    if (answer === "auto") choose(null);
    else if (answer === "ok" && names.length) choose(names);
    else return;
    this.#fit();
  }
}
