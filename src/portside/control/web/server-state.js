/**
 * The server: whether it answers, its counts, and the rates of the last minute.
 */

import { request, Problem } from "./api.js";
import { Signal } from "./signal.js";

/** @typedef {"asking" | "live" | "gone" | "refused"} Reach */

export const MINUTE = 61;

/** @type {Signal<Reach>} */
export const reach = new Signal(/** @type {Reach} */ ("asking"));
/** @type {Signal<ServerFacts | null>} */
export const facts = new Signal(/** @type {ServerFacts | null} */ (null));
/** @type {Signal<number>} when the server answered last, milliseconds since 1970 */
export const answered = new Signal(0);

/** @typedef {"received" | "sent" | "opened"} Rate */
/** @type {Record<Rate, (number | null)[]>} one value a second, the newest last */
export const rates = { received: [], sent: [], opened: [] };

/** @type {{at: number, counts: ServerFacts["counts"]} | null} */
let before = null;

/** Ask for the server's facts; whether it answered. */
export async function ask() {
  /** @type {ServerFacts} */
  let now;
  try {
    now = await request("GET", "server");
  } catch (error) {
    const refused = error instanceof Problem && (error.status === 401 || error.status === 403);
    const next = refused ? "refused" : "gone";
    if (refused || reach.value !== next) reach.value = next;
    return false;
  }
  const restarted = facts.value !== null && (facts.value.started !== now.started || facts.value.pid !== now.pid);
  if (restarted) before = null;
  measure(now.counts);
  answered.value = Date.now();
  facts.value = now;
  if (reach.value !== "live") reach.value = "live";
  return true;
}

/** @param {ServerFacts["counts"]} counts */
function measure(counts) {
  const at = performance.now();
  if (before) {
    const seconds = (at - before.at) / 1000;
    for (const name of /** @type {Rate[]} */ (Object.keys(rates))) {
      const line = rates[name];
      line.push(Math.max(0, (counts[name] - before.counts[name]) / seconds));
      if (line.length > MINUTE) line.shift();
    }
  }
  before = { at, counts };
}
