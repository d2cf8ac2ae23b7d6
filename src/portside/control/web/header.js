/**
 * The upper edge: where the server listens, whether it answers, how long it has run, and the rates of the last minute.
 */

import { byId, element, setText } from "./dom.js";
import { countText, report } from "./findings.js";
import * as format from "./format.js";
import { Sparkline } from "./plot.js";
import { answered, facts, MINUTE, rates, reach } from "./server-state.js";

/** @typedef {import("./server-state.js").Rate} Rate */

/** @type {[rate: Rate, label: string, title: string, write: (value: number) => string][]} */
const LINES = [
  ["received", "In", "Bytes received a second, over a minute", (value) => `${format.bytes(value)}/s`],
  ["sent", "Out", "Bytes sent a second, over a minute", (value) => `${format.bytes(value)}/s`],
  ["opened", "New", "New connections a second, over a minute", (value) => `${value < 10 ? value.toFixed(1) : format.count(Math.round(value))}/s`],
];

export function start() {
  const strip = byId("figures", HTMLElement);
  const open = figure(strip, "Open", "Connections that are open now");
  const uptime = figure(strip, "Up", "Time since the server started");
  const lines = LINES.map(([rate, label, title, write]) => {
    const value = figure(strip, label, title);
    const line = new Sparkline();
    value.parentElement?.append(line.element);
    return { rate, write, value, line };
  });
  facts.follow((server) => {
    if (!server) return;
    const where = byId("address", HTMLElement);
    setText(where, [...severalText(server), ...server.listeners.map(({ address }) => address)].join("  "));
    where.title = where.textContent;
    setText(open, format.count(server.counts.open));
    document.title = `${server.counts.open} open · ${server.listeners[0]?.address ?? "Portside"} · Portside`;
    for (const { rate, write, value, line } of lines) {
      const newest = rates[rate].at(-1);
      setText(value, newest === undefined || newest === null ? format.UNKNOWN : write(newest));
      line.draw(rates[rate], MINUTE);
    }
  });
  const count = byId("finding-count", HTMLElement);
  report.follow((found) => {
    setText(count, countText());
    count.dataset.tone = found?.items[0]?.severity ?? "";
  });
  const tell = () => {
    const server = facts.value;
    if (server && reach.value === "live") setText(uptime, format.duration(server.uptime));
    const banner = byId("gone", HTMLElement);
    const gone = reach.value === "gone";
    banner.hidden = !gone;
    document.body.classList.toggle("stale", gone);
    if (!gone) return;
    const since = answered.value ? ` since ${format.clock(answered.value)}` : "";
    setText(banner, `The server has not answered${since}. What is shown is from then; the page connects again by itself.`);
  };
  reach.follow(tell);
  facts.follow(tell);
}

/**
 * How many servers, or machines, are shown as one.
 * @param {ServerFacts} server
 */
function severalText({ servers, silent, nodes }) {
  if (nodes) return [`nodes: ${Object.entries(nodes).filter(([, count]) => count).map(([life, count]) => `${format.count(count)} ${life}`).join(", ") || "none"}`];
  if (!servers) return [];
  const stuck = silent?.length ? ` (${silent.length} more without an answer)` : "";
  return [`${servers.length} ${servers.length === 1 ? "server" : "servers"}${stuck}`];
}

/**
 * @param {HTMLElement} strip
 * @param {string} label
 * @param {string} title
 */
function figure(strip, label, title) {
  const value = element("dd", {}, format.UNKNOWN);
  strip.append(element("div", { class: "figure", title }, element("dt", {}, label), value));
  return value;
}
