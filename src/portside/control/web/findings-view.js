/**
 * All findings, the most severe first, of the whole machine or of this server; and what cannot be looked at.
 */

import { button, choice, element, setText } from "./dom.js";
import { FindingCard, keyOf } from "./finding-card.js";
import { everywhere, report, trouble } from "./findings.js";
import * as format from "./format.js";
import { oneLine } from "./payload.js";
import { facts } from "./server-state.js";

/** @typedef {import("./findings.js").Report} Report */

const WARM_UP_S = 10; // rates are those of so much time: before, that nothing was found says less

export class FindingsView {
  #all = true;
  #begun = false;
  /** @type {Map<string, FindingCard>} */
  #cards = new Map();
  #list = element("ol");
  #none = element("p", { class: "hint" });
  #hidden = element("ul");
  #blind = element("details", { class: "hint" }, element("summary", {}, "What cannot be looked at"), this.#hidden);
  #totals = element("p", { class: "totals" });

  /** @param {HTMLElement} root */
  constructor(root) {
    const whose = choice("Whose", [["all", "This machine"], ["own", "This server"]], "all", (value) => {
      this.#all = value === "all";
      this.#draw();
    });
    const watch = button("Watch in all views", () => (everywhere.value = !everywhere.value), {
      class: "toggle",
      title: "Count and mark them in other views; meanwhile the server looks at all sockets of its machine once a second",
    });
    everywhere.follow((on) => watch.setAttribute("aria-pressed", String(on)));
    root.append(
      element("div", { class: "toolbar" }, whose.group, watch),
      element("div", { class: "event-scroller", tabindex: 0, role: "region", "aria-label": "What is wrong" }, this.#none, this.#list, this.#blind),
      this.#totals,
    );
    for (const signal of [report, trouble]) signal.follow(() => this.#draw());
  }

  /** Begin to watch, where the reader has not ended it. */
  show() {
    if (!this.#begun) everywhere.value = true;
    this.#begun = true;
    this.#draw();
  }

  #draw() {
    const found = report.value;
    const items = found?.items.filter(({ conns, subject }) => this.#all || conns.length || subject.pid === facts.value?.pid) ?? [];
    const before = this.#cards;
    this.#cards = new Map();
    for (const [at, finding] of items.entries()) {
      const card = before.get(keyOf(finding)) ?? new FindingCard(finding);
      card.show(finding, found?.at ?? "");
      this.#cards.set(keyOf(finding), card);
      const there = this.#list.children[at] ?? null;
      if (there !== card.element) this.#list.insertBefore(card.element, there);
    }
    while (this.#list.childElementCount > items.length) this.#list.lastElementChild?.remove();
    setText(this.#none, items.length ? "" : why(found));
    setText(this.#totals, progress(found));
    const hidden = [...Object.entries(found?.blind ?? {}).map(([code, reason]) => `${code}: ${reason}`), ...(found?.notes ?? [])];
    this.#blind.hidden = !hidden.length;
    this.#hidden.replaceChildren(...hidden.map((line) => element("li", {}, oneLine(line))));
  }
}

/** @param {NonNullable<Report>} found */
const looks = (found) => (found.looks ? `${format.count(found.looks)} looks in ${format.duration(found.watched)}` : "as the nodes told last");

/**
 * Why the list is empty.
 * @param {Report} found
 */
function why(found) {
  if (!found) return trouble.value ? "" : "The server begins to look…";
  if (found.total) return `Nothing of this server; ${format.count(found.total)} found on the machine.`;
  return `Nothing found: ${looks(found)}.${found.looks && found.watched < WARM_UP_S ? ` Most of what can be found shows within ${WARM_UP_S} s.` : ""}`;
}

/** @param {Report} found */
function progress(found) {
  const since = found && looks(found) + (found.looks ? `, since ${format.clock(Date.parse(found.at) - found.watched * 1000)}` : "");
  return [found && `${format.count(found.total)} found`, since, trouble.value && `No newer answer: ${trouble.value}`].filter(Boolean).join("  ·  ");
}
