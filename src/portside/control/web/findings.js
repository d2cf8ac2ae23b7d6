/**
 * What is wrong on the server's machine, as `portside diagnose` finds it. The server watches while somebody asks, so the
 * page begins with the first look at this view, asks less often from elsewhere, and never while its tab is hidden.
 */

import { Problem, request } from "./api.js";
import { facts } from "./server-state.js";
import { Signal } from "./signal.js";

/** @typedef {FindingReport | null} Report  null where nobody watches */

const ELSEWHERE_MS = 5000; // well below the 30 s after which the server's watch ends
const MARKS = { critical: "▲", warning: "◆", info: "●" };

export const report = new Signal(/** @type {Report} */ (null));
/** Why there is no newer one. */
export const trouble = new Signal("");
/** Whether the other views ask too, for the count and the marks. */
export const everywhere = new Signal(false);

/** @type {Map<string, Finding[]>} */
let marks = new Map();
let askedAt = -Infinity;
let asking = false;

/** @param {ConnName} conn */
export const ofConnection = (conn) => marks.get(`#${conn}`) ?? [];
/** @param {KernelSocket} socket */
export const ofSocket = ({ inode }) => marks.get(`${inode}`) ?? [];

/**
 * Ask for the findings, where it is time to.
 * @param {boolean} shown  whether their view is
 */
export async function ask(shown) {
  if (!shown && !everywhere.value && report.value) take(null);
  if (asking || !(shown || (everywhere.value && performance.now() - askedAt >= ELSEWHERE_MS))) return;
  asking = true;
  askedAt = performance.now();
  try {
    take(await request("GET", "findings"));
    trouble.value = "";
  } catch (error) {
    if (error instanceof Problem) trouble.value = error.message;
  }
  asking = false;
}

/** @param {Report} found */
export function take(found) {
  marks = new Map();
  for (const finding of found?.items ?? []) {
    for (const key of [...finding.conns.map((conn) => `#${conn}`), ...finding.inodes.map(String)]) {
      marks.set(key, [...(marks.get(key) ?? []), finding]);
    }
  }
  report.value = found;
}

/** @param {Finding} finding */
export const severityText = ({ severity }) => `${MARKS[severity]} ${severity}`;

/** How many warnings and criticals there are, with the mark of the worst; "" for none. */
export function countText() {
  const severe = report.value?.items.filter(({ severity }) => severity !== "info") ?? [];
  return severe[0] ? `${MARKS[severe[0].severity]} ${severe.length}` : "";
}

/**
 * The columns of a table, with one more while all views watch: what is wrong with a row, of which a narrow table has room
 * for the mark.
 * @template Item
 * @param {(width: number) => Column<Item>[]} columnsFor
 * @param {number} width  of the table, in pixels
 * @param {(item: Item) => Finding[]} of
 */
export function withMarks(columnsFor, width, of) {
  if (!everywhere.value || facts.value?.nodes) return columnsFor(width);
  const [room, heading, track] = width < 1000 ? [26, "!", "0.9rem"] : [260, "Finding", "minmax(8rem, 1fr)"];
  const columns = [...columnsFor(width - room)];
  columns.splice(columns.findIndex(({ id }) => id === "state") + 1, 0, {
    id: heading,
    heading,
    title: "What is wrong with it",
    width: track,
    text: (item) => of(item).map(({ severity, code }, at) => (at ? code : `${MARKS[severity]} ${code}`)).join(", "),
    tone: (item) => of(item)[0]?.severity ?? "",
  });
  return columns;
}
