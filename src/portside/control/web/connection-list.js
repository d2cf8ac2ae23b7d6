/**
 * The table of the connections: filter, order, open or closed, columns, and the totals of what the filter leaves.
 */

import { choose, chosen, COLUMNS, columnsFor } from "./columns.js";
import { open as openDialog } from "./dialogs.js";
import { button, choice, element } from "./dom.js";
import { ofConnection, withMarks } from "./findings.js";
import * as format from "./format.js";
import { go } from "./routes.js";
import { RowList } from "./row-list.js";
import { facts } from "./server-state.js";

const MOST_WITH_OWNERS = 2000; // open connections: of more the server needs seconds for the programs
const NAMES_PX = 64; // by which names of several servers are wider than numbers
const STATES = /** @type {[string, string][]} */ ([["open", "Open"], ["closed", "Closed"], ["all", "All"]]);

export class ConnectionList {
  #state = "open";
  #fields = "";
  /** @type {RowList<ConnectionItem>} */
  #rows;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.states = choice("Which connections", STATES, this.#state, (state) => this.show(state));
    this.#rows = new RowList(
      root,
      {
        path: "connections",
        label: "Connections",
        placeholder: "idle > 10s and received > 64k",
        sort: "conn",
        columns: (width) => this.#columns(width),
        key: ({ conn }) => String(conn),
        which: () => ({ state: this.#state, fields: this.#wanted() }),
        open: ({ conn }) => go({ conn }),
        rowTone: ({ state }) => (state === "closed" ? "dim" : ""),
        none: () => (this.#state === "open" ? "No client is connected." : "None yet."),
        totals: (rows) => this.#totals(rows),
      },
      this.states.group,
      button("Columns", () => void this.chooseColumns()),
    );
    this.filter = this.#rows.filter;
    this.table = this.#rows.table;
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

  /** @param {number} width */
  #columns(width) {
    let own = columnsFor(width);
    const columns = withMarks((room) => (own = columnsFor(room)), width - (facts.value?.servers ? NAMES_PX : 0), ({ conn }) => ofConnection(conn));
    this.#fields = [...new Set(["conn", "state", "holds", "reason", ...own.flatMap(({ fields }) => fields)])].join(",");
    return columns;
  }

  /** @param {Pick<Page<ConnectionItem>, "total" | "totals">} rows */
  #totals({ total, totals }) {
    const parts = [`${format.count(total)} ${this.filter.value ? "match" : this.#state === "all" ? "connections" : this.#state}`];
    if (totals) {
      parts.push(`${format.bytes(totals.received)} in`, `${format.bytes(totals.sent)} out`);
      if (this.#state !== "closed") parts.push(`Recv-Q ${format.bytes(totals.recv_q)}`, `Send-Q ${format.bytes(totals.send_q)}`);
    }
    return parts.join("  ·  ");
  }

  async chooseColumns() {
    const now = new Set(this.#rows.shown.split(" "));
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
    this.#rows.fit();
  }
}
