/**
 * The server as a whole: its listeners and options, who may connect, limits, a line to all clients, the end. Of several
 * that are shown as one: each of them, a line to all clients, the end.
 */

import { perform } from "./acts.js";
import { request, withQuery } from "./api.js";
import { confirm } from "./dialogs.js";
import { button, element, showPairs } from "./dom.js";
import * as format from "./format.js";
import { parseText, oneLine, toBase64 } from "./payload.js";
import { facts } from "./server-state.js";

/** @typedef {"max_conns" | "max_conns_per_ip" | "idle_timeout" | "half_close_timeout"} Limit */
/** @typedef {"allow" | "deny"} List */

/** @type {[name: Limit, label: string, hint: string][]} */
const LIMITS = [
  ["max_conns", "Most clients", "number, or off"],
  ["max_conns_per_ip", "Most clients of one address", "number, or off"],
  ["idle_timeout", "Idle timeout", "30s, 5m, or off"],
  ["half_close_timeout", "Half-close timeout", "30s, 5m, or off"],
];

export class ServerView {
  #facts = element("dl", { class: "facts" });
  #listeners = element("tbody");
  #servers = element("tbody");
  /** @type {HTMLElement[]} of one server */
  #ofOne;
  #ofSeveral;
  /** @type {Map<Limit, {input: HTMLInputElement, value: string}>} */
  #limits = new Map();
  #access = element("div", { class: "access" });
  #shownAccess = "";
  #broadcast = element("input", { class: "data", spellcheck: "false", autocomplete: "off", placeholder: "going down in 5 minutes\\n", "aria-label": "What to send to all clients", required: true });

  /** @param {HTMLElement} root */
  constructor(root) {
    const listeners = section("Listeners", table(["Address", "Accept queue", "Limit", "Drops"], this.#listeners));
    const limits = section("Limits", this.#limitsForm());
    const access = section("Who may connect", this.#access, this.#accessForm());
    this.#ofOne = [listeners, limits, access];
    this.#ofSeveral = section("Servers", table(["Process", "Open", "Opened", "Received", "Sent", "Up", "Addresses"], this.#servers));
    this.#ofSeveral.hidden = true;
    root.append(
      element(
        "div",
        { class: "server-panel", tabindex: 0, role: "region", "aria-label": "Server" },
        this.#ofSeveral,
        listeners,
        section("To all clients", this.#broadcastForm()),
        limits,
        access,
        section("The end", element("p", { class: "hint" }, "Closes the ports, and ends each server with its last client."), button("Drain", () => void this.#drain(), { class: "danger" })),
        section("Process and counts", this.#facts),
      ),
    );
  }

  #broadcastForm() {
    const form = element("form", { class: "row-form acting" }, this.#broadcast, element("button", { type: "submit", class: "primary" }, "Send to all"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    return form;
  }

  async #send() {
    const open = facts.value?.counts.open ?? 0;
    const text = this.#broadcast.value;
    if (!(await confirm("Send to all?", `${open} clients are connected. There is no way back.`, "Send"))) return;
    await perform(`${oneLine(text)} sent to ${open} clients`, async () => {
      const answer = await request("POST", "broadcast", { base64: toBase64(parseText(text)) });
      if (answer.skipped) throw new Error(`sent to ${answer.sent} clients, and not to ${answer.skipped} that take nothing for now`);
      this.#broadcast.value = "";
    });
  }

  #limitsForm() {
    const fields = LIMITS.map(([name, label, hint]) => {
      const input = element("input", { class: "data", placeholder: hint, autocomplete: "off" });
      this.#limits.set(name, { input, value: "" });
      input.addEventListener("change", () => void this.#setLimit(name, input.value.trim() || "off"));
      return element("label", { class: "field" }, label, input);
    });
    return element("div", { class: "limits" }, ...fields);
  }

  /**
   * @param {Limit} name
   * @param {string} value
   */
  async #setLimit(name, value) {
    const limit = this.#limits.get(name);
    const before = limit?.value ?? "off";
    const set = (/** @type {string} */ to) => () => request("PATCH", "limits", { [name]: /^\d+$/.test(to) ? Number(to) : to });
    const label = LIMITS.find(([known]) => known === name)?.[1];
    const worked = await perform(`${label}: ${value}`, set(value), async () => {
      await perform(`${label}: ${before}, as before`, set(before));
    });
    if (!worked && limit) limit.input.value = limit.value;
  }

  #accessForm() {
    const net = element("input", { class: "data", placeholder: "10.0.0.0/8", "aria-label": "Address or network", required: true, autocomplete: "off" });
    const form = element(
      "form",
      { class: "row-form acting" },
      net,
      element("button", { type: "submit", value: "allow" }, "Allow"),
      element("button", { type: "submit", value: "deny" }, "Deny"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const list = event.submitter instanceof HTMLButtonElement && event.submitter.value === "allow" ? "allow" : "deny";
      void this.#change(list, net.value.trim(), true).then((worked) => {
        if (worked) net.value = "";
      });
    });
    return form;
  }

  /**
   * @param {List} list
   * @param {string} net
   * @param {boolean} add
   * @returns {Promise<boolean>}
   */
  #change(list, net, add) {
    const text = add ? `${net} is on the list ${list}` : `${net} is off the list ${list}`;
    const work = () => (add ? request("POST", "access", { list, net }) : request("DELETE", withQuery("access", { list, net })));
    return perform(text, work, async () => {
      await this.#change(list, net, !add);
    });
  }

  async #drain() {
    const open = facts.value?.counts.open ?? 0;
    const text = `The ports close at once, and the server ends when ${open} clients have left. There is no way back.`;
    if (await confirm("Drain?", text, "Drain")) await perform("The server accepts nobody any more", () => request("POST", "drain", {}));
  }

  /** Ask again for what is shown. */
  async refresh() {
    const server = facts.value;
    if (!server) return;
    this.#ofSeveral.hidden = !server.servers;
    for (const part of this.#ofOne) part.hidden = Boolean(server.servers);
    this.#showFacts(server);
    if (server.servers) {
      this.#servers.replaceChildren(...server.servers.map(({ pid, uptime, listeners, counts }) => row(String(pid), [
        format.count(counts.open),
        format.count(counts.opened),
        format.bytes(counts.received),
        format.bytes(counts.sent),
        format.duration(uptime),
        listeners.map(({ address }) => address).join("  "),
      ])));
      return;
    }
    this.#listeners.replaceChildren(
      ...server.listeners.map(({ address, accept_queue, accept_queue_limit, drops }) =>
        row(address, [accept_queue, accept_queue_limit, drops].map((value) => format.count(value))),
      ),
    );
    const [limits, access] = await Promise.all([request("GET", "limits"), request("GET", "access")]);
    for (const [name, limit] of this.#limits) {
      const value = limits[name] === null ? "off" : name.endsWith("timeout") ? `${limits[name]}s` : String(limits[name]);
      if (limit.value !== value && document.activeElement !== limit.input) limit.input.value = value;
      limit.value = value;
      limit.input.disabled = server.read_only;
    }
    this.#showAccess(access);
  }

  /** @param {ServerFacts} server */
  #showFacts(server) {
    const counts = server.counts;
    const ofOne = [
      ["process", String(server.pid)],
      ["started", format.dayAndTime(server.started)],
      ...Object.entries(server.options).map(([name, value]) => [name, oneLine(String(value))]),
    ];
    const pairs = [
      ["version", server.version],
      ["machine", oneLine(server.node)],
      ...(server.servers ? [] : ofOne),
      ["opened", format.count(counts.opened)],
      ...Object.entries(counts.closed).map(([reason, count]) => [`closed: ${format.words(reason)}`, format.count(count)]),
      ...Object.entries(counts.refused).map(([reason, count]) => [`refused: ${format.words(reason)}`, format.count(count)]),
    ];
    showPairs(this.#facts, pairs);
  }

  /** @param {{allow: string[] | null, deny: string[]}} access */
  #showAccess(access) {
    const text = JSON.stringify(access);
    if (text === this.#shownAccess) return;
    this.#shownAccess = text;
    this.#access.replaceChildren(
      element("p", { class: "hint" }, access.allow === null ? "Any address that is not denied." : "Only the addresses that are allowed, and of these none that is denied."),
    );
    for (const [list, nets] of /** @type {[List, string[]][]} */ ([["allow", access.allow ?? []], ["deny", access.deny]])) {
      for (const net of nets) {
        const remove = button("×", () => void this.#change(list, net, false), { class: "quiet acting", "aria-label": `Take ${net} off the list ${list}` });
        this.#access.append(element("span", { class: `net ${list}` }, `${list} `, element("code", {}, net), remove));
      }
    }
  }
}

/**
 * @param {string[]} headings
 * @param {HTMLElement} body
 */
function table(headings, body) {
  return element("table", {}, element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)))), body);
}

/**
 * @param {string} heading
 * @param {string[]} cells
 */
function row(heading, cells) {
  return element("tr", {}, element("th", { scope: "row", class: "data" }, heading), ...cells.map((text) => element("td", {}, text)));
}

/**
 * @param {string} title
 * @param {...HTMLElement} content
 */
function section(title, ...content) {
  return element("section", {}, element("h2", {}, title), ...content);
}
