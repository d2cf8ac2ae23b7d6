/**
 * What can be done to a connection. What has a way back is done at once and offers it; what has none asks first.
 */

import { request } from "./api.js";
import { isPaused } from "./columns.js";
import { ask, confirm } from "./dialogs.js";
import { done, failed } from "./notices.js";

/** Is called after each act, so that what is shown is asked for again. */
export const after = { act: () => {} };

/**
 * @param {ConnName} conn
 * @param {string} rest
 */
const path = (conn, rest) => `connections/${conn}/${rest}`;

/**
 * Do something, say so, and offer the way back.
 * @param {string} text  nothing is said where it is empty
 * @param {() => Promise<unknown>} work
 * @param {(() => Promise<void>) | null} [undo]
 * @returns {Promise<boolean>} whether it worked
 */
export async function perform(text, work, undo) {
  try {
    await work();
  } catch (error) {
    failed(error);
    return false;
  }
  if (text) done(text, undo ? () => void undo() : undefined);
  after.act();
  return true;
}

/** @param {Connection} connection */
export async function pauseOrResume(connection) {
  await (isPaused(connection) ? resume(connection.conn) : pause(connection.conn));
}

/** @param {ConnName} conn */
async function pause(conn) {
  await perform(`#${conn} is paused: nothing is read from it`, () => request("POST", path(conn, "pause")), () => resume(conn));
}

/** @param {ConnName} conn */
async function resume(conn) {
  await perform(`#${conn} resumed`, () => request("POST", path(conn, "resume")), () => pause(conn));
}

/** @param {Connection} connection */
export async function throttle({ conn, throttle: before }) {
  const rate = await ask(`Throttle #${conn}`, {
    label: "Most bytes a second, each direction",
    value: before ?? "10k/s",
    hint: "10k/s, 1M/s, or off",
    verb: "Throttle",
    choices: ["1k/s", "10k/s", "100k/s", "1M/s", "off"],
  });
  if (rate !== null) await setThrottle(conn, rate === "off" || rate === "" ? null : rate, before ?? null);
}

/**
 * @param {ConnName} conn
 * @param {string | null} rate
 * @param {string | null} before
 */
async function setThrottle(conn, rate, before) {
  const work = () =>
    rate === null ? request("DELETE", path(conn, "throttle")) : request("PUT", path(conn, "throttle"), { rate });
  const text = rate === null ? `#${conn} is throttled no more` : `#${conn} is throttled to ${rate}`;
  await perform(text, work, () => setThrottle(conn, before, rate));
}

/**
 * Change the note or the tags.
 * @param {Connection} connection
 * @param {{note?: string | null, tags?: string[]}} change
 */
export async function describe(connection, change) {
  const { conn } = connection;
  const before = change.tags === undefined ? { note: connection.note ?? "" } : { tags: connection.tags ?? [] };
  const what = change.tags === undefined ? "Note" : "Tags";
  await perform(
    `${what} of #${conn} saved`,
    () => request("PATCH", `connections/${conn}`, change),
    async () => {
      await perform(`${what} of #${conn} as before`, () => request("PATCH", `connections/${conn}`, before));
    },
  );
}

/**
 * Close a connection in one of three ways, after a question.
 * @param {Connection} connection
 * @param {"half" | "fin" | "reset"} how
 */
export async function close({ conn, peer }, how) {
  const [title, explanation, verb, told] = {
    half: ["Half-close", "sends FIN: nothing more can be sent to it, and it may go on sending.", "Half-close", "is half-closed"],
    fin: ["Close", "sends what is buffered, then FIN, and ends the connection.", "Close", "is closed"],
    reset: ["Reset", "sends RST: bytes that are under way in either direction are lost.", "Reset", "is reset"],
  }[how];
  if (!(await confirm(`${title} #${conn}?`, `${peer}. This ${explanation} There is no way back.`, verb ?? ""))) return;
  await perform(`#${conn} ${told}`, () => request("POST", path(conn, "close"), { how }));
}

/**
 * Send bytes; whether it worked.
 * @param {ConnName} conn
 * @param {string} base64
 * @param {string} told
 */
export function send(conn, base64, told) {
  return perform(told, () => request("POST", path(conn, "send"), { base64 }));
}
