/**
 * The faults of one connection: those that act now, and a field for one more.
 */

import { request } from "./api.js";
import { perform } from "./acts.js";
import { button, element } from "./dom.js";
import { bytes, clock } from "./format.js";

const EXAMPLES = [
  ["latency 200ms", "delays both directions"],
  ["latency 200ms jitter 50ms", "delays by a varying time"],
  ["rate 10k/s", "passes at most this many bytes a second"],
  ["stall for 10s", "reads nothing for a while"],
  ["slice 1..8", "splits what is sent into small pieces"],
  ["corrupt 0.001 in", "flips bits of what comes in"],
  ["drop in for 5s", "discards what comes in"],
  ["limit 64k", "closes after this many bytes"],
];

export class Faults {
  #list = element("ul", { class: "faults" });
  #input = element("input", { id: "fault-spec", class: "data", spellcheck: "false", autocomplete: "off", list: "fault-examples", placeholder: "latency 200ms jitter 50ms", "aria-describedby": "fault-error" });
  #error = element("p", { id: "fault-error", class: "field-error", role: "alert" });
  /** @type {ConnName} */
  #conn = 0;
  #shown = "";

  constructor() {
    const form = element(
      "form",
      { class: "row-form" },
      element("label", { class: "field grow" }, "New fault", this.#input),
      element("button", { type: "submit", class: "primary" }, "Apply"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add(this.#input.value.trim());
    });
    const examples = element("ul", { class: "examples" });
    for (const [spec = "", what = ""] of EXAMPLES) {
      const use = button(spec, () => {
        this.#input.value = spec;
        this.#input.focus();
      }, { class: "data" });
      examples.append(element("li", {}, use, element("span", {}, what)));
    }
    this.element = element(
      "div",
      { class: "faults-panel" },
      this.#list,
      form,
      this.#error,
      element("h3", {}, "Examples"),
      examples,
      element("datalist", { id: "fault-examples" }, ...EXAMPLES.map(([value]) => element("option", { value }))),
    );
  }

  focus() {
    this.#input.focus();
  }

  /**
   * @param {ConnName} conn
   * @param {ActiveFault[]} faults
   */
  show(conn, faults) {
    if (this.#conn !== conn) this.#error.textContent = "";
    this.#conn = conn;
    this.#draw(faults);
  }

  /** @param {ActiveFault[]} faults */
  #draw(faults) {
    const text = JSON.stringify(faults);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#list.replaceChildren(
      ...faults.map((fault) =>
        element(
          "li",
          {},
          element("code", {}, fault.spec),
          element("span", { class: "muted" }, `since ${clock(fault.since)}, by ${fault.by ?? "--fault"}${fault.held ? `, holds ${bytes(fault.held)}` : ""}`),
          button("Remove", () => void this.#remove(fault), { "aria-label": `Remove the fault ${fault.spec}` }),
        ),
      ),
    );
    if (!faults.length) this.#list.append(element("li", { class: "muted" }, "No fault acts on this connection."));
  }

  /** @param {string} spec */
  async #add(spec) {
    const conn = this.#conn;
    this.#error.textContent = "";
    try {
      const fault = await request("POST", `connections/${conn}/faults`, { spec });
      this.#input.value = "";
      await perform(`Fault ${spec} acts on #${conn}`, async () => {}, () => this.#remove({ id: fault.id, spec }, conn));
    } catch (error) {
      this.#error.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * @param {{id: number, spec: string}} fault
   * @param {ConnName} [conn]
   */
  async #remove({ id, spec }, conn = this.#conn) {
    await perform(
      `Fault ${spec} is taken off #${conn}`,
      () => request("DELETE", `connections/${conn}/faults/${id}`),
      async () => {
        await perform(`Fault ${spec} acts on #${conn}`, () => request("POST", `connections/${conn}/faults`, { spec }));
      },
    );
  }
}
