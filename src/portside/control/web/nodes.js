/**
 * The machines of a fleet: whether their agents are alive, what runs there, and how far what they send is behind.
 */

import { column, figure } from "./column.js";
import * as format from "./format.js";
import { oneLine } from "./payload.js";
import { RowList } from "./row-list.js";

const TONES = { alive: "", late: "warning", gone: "critical" };
const NAME = "minmax(5rem, 1fr)";

const COLUMNS = [
  column("node", "Node", "The machine", NAME, 0, (/** @type {FleetNode} */ n) => n.node),
  column("site", "Site", "Where it is", NAME, 560, (n) => n.site),
  column("life", "Life", "Whether its agent gives signs of life", "3.4rem", 0, (n) => n.life, { tone: (/** @type {FleetNode} */ { life }) => TONES[life] }),
  figure("age", "Seen", "Time since the last sign of life", "4.6rem", 0, (n) => format.duration(n.age_s)),
  figure("lag", "Lag", "How far what it sends is behind", "4.6rem", 480, (n) => format.duration(Math.max(0, n.lag_s ?? 0))),
  figure("connections", "Connections", "Open connections", "6rem", 420, (n) => format.count(n.connections)),
  figure("findings", "Findings", "What is wrong there", "5rem", 640, (n) => format.count(n.findings)),
  figure("load", "Load", "Load average of a minute", "4.6rem", 720, (n) => n.load?.toFixed(2) ?? format.UNKNOWN),
  figure("outbox", "Outbox", "Bytes that wait to be sent", "5rem", 800, (n) => format.size(n.outbox.bytes)),
  column("version", "Version", "Version of the agent", "5rem", 880, (n) => n.version),
  column("system", "System", "Kernel and machine", NAME, 1100, (n) => n.system),
  column("notes", "Notes", "What the agent says", NAME, 1240, (n) => n.notes.map(oneLine).join("; "), { sort: "" }),
];

/** @param {HTMLElement} root */
export const nodeList = (root) =>
  new RowList(root, {
    path: "nodes",
    label: "Nodes",
    placeholder: "lag > 10s or not life = alive",
    columns: (width) => COLUMNS.filter(({ shown }) => width >= shown),
    key: ({ site, node }) => `${site} ${node}`,
  });
