/**
 * One connection: who it is, what can be done to it, and its transcript, kernel facts and faults.
 */

import * as acts from "./acts.js";
import { Problem, request } from "./api.js";
import { isPaused, programs, stateText, stateTone } from "./columns.js";
import { button, element, setText, showPairs } from "./dom.js";
import { Faults } from "./faults.js";
import { ofConnection, report, severityText } from "./findings.js";
import * as format from "./format.js";
import { KernelFacts } from "./kernel-facts.js";
import { failed } from "./notices.js";
import { oneLine } from "./payload.js";
import { go, route, TABS } from "./routes.js";
import { SendBox } from "./send-box.js";
import { facts } from "./server-state.js";
import { Transcript } from "./transcript.js";

const TAB_NAMES = { transcript: "Transcript", kernel: "Kernel", faults: "Faults" };

export class ConnectionView {
  /** @type {Connection | null} */
  connection = null;
  #title = element("h2", { tabindex: -1 });
  #chip = element("span", { class: "chip" });
  #facts = element("dl", { class: "summary" });
  #note = element("input", { class: "plain", placeholder: "Note", "aria-label": "Note", maxlength: 500 });
  #tags = element("input", { class: "plain", placeholder: "Tags, with commas", "aria-label": "Tags", maxlength: 200 });
  #buttons = element("div", { class: "acts", role: "group", "aria-label": "Acts" });
  #tabs = element("div", { class: "tabs", role: "tablist", "aria-label": "Of this connection" });
  #panels;
  #gone = element("p", { class: "detail-gone", hidden: true });
  #findings = element("ul", { class: "detail-findings" });
  transcript = new Transcript();
  kernel = new KernelFacts();
  faults = new Faults();
  sendBox = new SendBox();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.#pause = button("Pause", () => this.act(acts.pauseOrResume));
    const rest = [
      button("Throttle", () => this.act(acts.throttle)),
      button("Half-close", () => this.act((one) => acts.close(one, "half"))),
      button("Close", () => this.act((one) => acts.close(one, "fin"))),
      button("Reset", () => this.act((one) => acts.close(one, "reset")), { class: "danger" }),
    ];
    this.#buttons.append(this.#pause, ...rest);
    this.#panels = {
      transcript: element("div", { class: "panel" }, this.transcript.element, this.sendBox.element),
      kernel: element("div", { class: "panel scrolls", tabindex: 0 }, this.kernel.element),
      faults: element("div", { class: "panel scrolls", tabindex: 0 }, this.faults.element),
    };
    for (const tab of TABS) {
      const panel = this.#panels[tab];
      panel.id = `panel-${tab}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", `tab-${tab}`);
      this.#tabs.append(button(TAB_NAMES[tab], () => go({ tab }), { id: `tab-${tab}`, role: "tab", "aria-controls": panel.id }));
    }
    this.#tabs.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!step) return;
      this.nextTab(step);
      document.getElementById(`tab-${route.value.tab}`)?.focus();
    });
    root.append(
      element(
        "header",
        { class: "detail-head" },
        element(
          "div",
          { class: "detail-title" },
          button("‹ All", () => go({ conn: null }), { class: "back" }),
          this.#title,
          this.#chip,
          button("×", () => go({ conn: null }), { class: "quiet close", "aria-label": "Close this view" }),
        ),
        this.#facts,
        this.#findings,
        element("div", { class: "notes" }, this.#note, this.#tags),
        this.#buttons,
      ),
      this.#gone,
      this.#tabs,
      ...Object.values(this.#panels),
    );
    this.#saveOnChange();
    for (const signal of [report, route]) signal.follow(() => this.#drawFindings());
  }

  #pause;

  #drawFindings() {
    const { conn } = route.value;
    const lines = (conn === null ? [] : ofConnection(conn)).map((finding) => element(
      "li",
      {},
      element("span", { class: "severity", "data-tone": finding.severity }, severityText(finding)),
      " ",
      element("a", { href: "#/findings", class: "data" }, finding.code),
      ` ${oneLine(finding.summary)}`,
    ));
    if (document.activeElement && this.#findings.contains(document.activeElement)) return;
    this.#findings.replaceChildren(...lines);
  }

  #saveOnChange() {
    this.#note.addEventListener("change", () => this.act((one) => acts.describe(one, { note: this.#note.value.trim() })));
    this.#tags.addEventListener("change", () => {
      const tags = this.#tags.value.split(/[,\s]+/).map((tag) => tag.replace(/^#/, "")).filter(Boolean);
      void this.act((one) => acts.describe(one, { tags }));
    });
    for (const field of [this.#note, this.#tags]) {
      field.addEventListener("keydown", ({ key }) => {
        if (key === "Enter") field.blur();
      });
    }
  }

  /** @param {(connection: Connection) => Promise<unknown>} work */
  async act(work) {
    if (this.connection && !facts.value?.read_only) await work(this.connection);
  }

  /** @param {number} step */
  nextTab(step) {
    const at = TABS.findIndex((tab) => tab === route.value.tab);
    go({ tab: TABS[(at + step + TABS.length) % TABS.length] ?? "transcript" });
  }

  /** Show the connection and the tab of the address, or nothing. */
  follow() {
    const { conn, tab } = route.value;
    this.root.hidden = conn === null;
    if (conn === null) {
      this.connection = null;
      this.transcript.close();
      return;
    }
    for (const name of TABS) {
      this.#panels[name].hidden = name !== tab;
      const button = document.getElementById(`tab-${name}`);
      button?.setAttribute("aria-selected", String(name === tab));
      button?.setAttribute("tabindex", name === tab ? "0" : "-1");
    }
    if (this.connection?.conn !== conn) {
      this.connection = null;
      setText(this.#title, `#${conn}`);
      this.#gone.hidden = true;
    }
    void this.transcript.show(conn, Boolean(facts.value?.read_only));
    void this.refresh();
  }

  /** Begin anew: the numbers are those of another server. */
  restart() {
    this.transcript.close();
    this.kernel.forget();
    this.follow();
  }

  /** Ask for the connection again. */
  async refresh() {
    const { conn, tab } = route.value;
    if (conn === null) return;
    try {
      /** @type {Connection} */
      const connection = await request("GET", `connections/${conn}`);
      const faults = connection.state === "closed" ? [] : await faultsOf(conn);
      if (route.value.conn !== conn) return;
      connection.throttle = faults.find(({ throttle }) => throttle)?.spec.replace(/^rate /, "") ?? null;
      this.connection = connection;
      this.#draw(connection);
      this.faults.show(conn, faults);
      if (tab === "kernel") await this.kernel.show(connection);
    } catch (error) {
      if (route.value.conn !== conn) return;
      if (error instanceof Problem && error.status === 404) {
        this.#gone.hidden = false;
        setText(this.#gone, `The server knows no connection #${conn}, or has forgotten it.`);
        this.connection = null;
      } else if (error instanceof Problem) {
        failed(error);
      }
    }
  }

  /** @param {Connection} connection */
  #draw(connection) {
    const { conn, peer } = connection;
    setText(this.#title, `#${conn} ${peer}`);
    setText(this.#chip, stateText(connection));
    this.#chip.dataset.tone = stateTone(connection);
    const open = connection.state !== "closed";
    const pairs = [
      ["received", format.bytes(connection.received)],
      ["sent", format.bytes(connection.sent)],
      open ? ["idle", format.duration(connection.idle)] : ["closed", format.clock(connection.closed ?? "")],
      ["opened", format.clock(connection.opened), true],
      ["local", connection.local, true],
      ["program", programs(connection.peer_socket?.owners)],
      ["throttle", connection.throttle ?? "off", !connection.throttle],
    ];
    for (const [at, pair] of showPairs(this.#facts, pairs).entries()) pair.classList.toggle("minor", Boolean(pairs[at]?.[2]));
    const usable = open && !facts.value?.read_only;
    setText(this.#pause, isPaused(connection) ? "Resume" : "Pause");
    for (const act of this.#buttons.querySelectorAll("button")) if (act.disabled === usable) act.disabled = !usable;
    if (document.activeElement !== this.#note) this.#note.value = connection.note ?? "";
    if (document.activeElement !== this.#tags) this.#tags.value = (connection.tags ?? []).join(", ");
    this.#note.disabled = this.#tags.disabled = Boolean(facts.value?.read_only);
    this.sendBox.show(conn, usable);
  }

  focus() {
    this.#title.focus();
  }
}

/**
 * The faults of a connection; none where it has closed meanwhile.
 * @param {ConnName} conn
 * @returns {Promise<ActiveFault[]>}
 */
async function faultsOf(conn) {
  try {
    return (await request("GET", `connections/${conn}/faults`)).items;
  } catch (error) {
    if (error instanceof Problem) return [];
    throw error;
  }
}
