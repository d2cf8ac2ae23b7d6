/**
 * One finding: what, who and since when in its head; below it why, what to do, the numbers, and which connections.
 */

import { element, setText } from "./dom.js";
import { severityText } from "./findings.js";
import * as format from "./format.js";
import { oneLine } from "./payload.js";
import { linkTo } from "./routes.js";

const MOST_LINKS = 12;

/** @type {[suffix: string, write: (value: number) => string][]} */
const UNITS = [
  ["_bytes", format.bytes],
  ["_ms", (value) => `${value} ms`],
  ["_s", format.duration],
  ["share", (value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`],
];

/** What makes a finding the same one over time. */
export const keyOf = (/** @type {Finding} */ { code, node, subject }) => JSON.stringify([code, node, subject]);

export class FindingCard {
  #severity = element("span", { class: "severity" });
  #since = element("span", { class: "finding-since" });
  #summary = element("span", { class: "finding-summary" });
  #body = element("div", { class: "finding-body" });
  #shown = "";
  #details;

  /** @param {Finding} finding */
  constructor(finding) {
    const { code, subject } = finding;
    const { local, remote, pid, program } = subject;
    const who = [finding.node, local, remote && `→ ${remote}`, pid && `${pid}/${program ?? "-"}`].filter(Boolean).join("  ");
    this.#details = element(
      "details",
      {},
      element(
        "summary",
        {},
        this.#severity,
        element("b", { class: "data" }, code),
        element("span", { class: "finding-subject data" }, oneLine(who) || "this machine"),
        this.#since,
        this.#summary,
      ),
      this.#body,
    );
    this.element = element("li", { class: "finding" }, this.#details);
    this.show(finding, finding.last_seen);
  }

  /**
   * @param {Finding} finding
   * @param {string} at  when the server looked last
   */
  show(finding, at) {
    const { severity, first_seen: first, last_seen: last, ...rest } = finding;
    const since = (/** @type {string} */ time) => (Date.parse(at) - Date.parse(time)) / 1000;
    if (severity !== "info" && severity !== this.#severity.dataset.tone) this.#details.open = true;
    this.#severity.dataset.tone = severity;
    setText(this.#severity, severityText(finding));
    setText(this.#since, since(last) < 2 ? `for ${format.duration(since(first))}` : `last seen ${format.duration(since(last))} ago`);
    setText(this.#summary, oneLine(finding.summary));
    const text = JSON.stringify(rest);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#body.replaceChildren(...body(finding));
  }
}

/** @param {Finding} finding */
function body({ code, why, remedy, evidence, conns, conns_total: total, unseen, nodes, nodes_total: all = 0 }) {
  const parts = [element("p", {}, oneLine(why)), element("p", {}, element("b", {}, "Do: "), ...withCode(remedy))];
  if (unseen.length) parts.push(element("p", {}, `Not seen: ${unseen.map(oneLine).join("; ")}.`));
  if (nodes) parts.push(element("p", {}, `Nodes: ${nodes.join(" ")}${all > nodes.length ? ` and ${format.count(all - nodes.length)} more` : ""}`));
  if (conns.length) {
    const some = conns.slice(0, MOST_LINKS);
    const links = some.flatMap((conn) => [element("a", { href: linkTo(conn) }, `#${conn}`), " "]);
    parts.push(element("p", {}, "Connections: ", ...links, total > some.length ? `and ${format.count(total - some.length)} more` : ""));
  }
  parts.push(element("p", {}, element("a", { href: `findings/${code}`, target: "_blank", rel: "noopener" }, "Why it happens, and how to prove it")));
  return [element("div", {}, ...parts), element("table", { "aria-label": "Evidence" }, ...Object.entries(evidence).map(row))];
}

/** @param {string} sentence  in which `…` is code */
const withCode = (sentence) => oneLine(sentence).split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part));

/** @param {[name: string, value: number | string]} entry  of the evidence: units are in names, names of states in capitals */
function row([name, value]) {
  const [suffix, write] = UNITS.find(([ending]) => name.endsWith(ending)) ?? ["", format.count];
  const words = (name.slice(0, name.length - suffix.length) || suffix).replaceAll(/(?<![A-Z])_|_(?![A-Z])/g, " ");
  return element("tr", {}, element("th", { scope: "row" }, words), element("td", {}, typeof value === "string" ? oneLine(value) : write(value)));
}
