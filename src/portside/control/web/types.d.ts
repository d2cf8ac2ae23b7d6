/** What the control API answers, as far as the page reads it. Unknown is null, never 0. */

export interface Listener {
  address: string;
  accept_queue: number | null;
  accept_queue_limit: number | null;
  drops: number | null;
}

export interface Counts {
  open: number;
  opened: number;
  closed: { [reason: string]: number };
  refused: { [reason: string]: number };
  received: number;
  sent: number;
}

export interface ServerFacts {
  pid: number;
  version: string;
  node: string;
  started: string;
  read_only: boolean;
  listeners: Listener[];
  options: { [name: string]: unknown };
  counts: Counts;
}

export interface Owner {
  pid: number;
  program: string | null;
}

/** A socket as the kernel sees it: the JSON of `portside watch --json`. */
export interface KernelSocket {
  proto: string;
  family: number;
  state: string | null;
  recv_q: number | null;
  send_q: number | null;
  local: string;
  remote: string | null;
  inode: number | null;
  owners: Owner[] | null;
  info: { [name: string]: unknown } | null;
  gaps?: { [name: string]: string };
}

/** Where the bytes of a connection are, each direction apart. */
export interface BytePlaces {
  in: { received_by_kernel: number | null; recv_q: number | null; read: number | null };
  out: {
    written: number | null;
    buffered: number | null;
    unsent: number | null;
    unacked: number | null;
    acked: number | null;
  };
}

/** What a list and a single connection have in common. */
interface ConnectionFields {
  conn: number;
  peer: string;
  local: string;
  state: "open" | "half_closed" | "eof_sent" | "closing" | "closed";
  opened: string;
  closed: string | null;
  age: number | null;
  idle: number | null;
  received: number;
  sent: number;
  buffered: number;
  holds: string[];
  reason: string | null;
  note: string | null;
  tags: string[];
  faults: number;
  throttle?: string | null;
}

/** A connection in a list: `kernel` has columns of the socket table. */
export interface ConnectionItem extends ConnectionFields {
  kernel?: { [column: string]: number | string | boolean | null };
  owners?: Owner[] | null;
}

/** One connection with the kernel's sockets of both ends. */
export interface Connection extends ConnectionFields {
  kernel: KernelSocket | null;
  peer_socket: KernelSocket | null;
  bytes: BytePlaces | null;
  gaps: { [name: string]: string };
}

export interface Page<Item> {
  items: Item[];
  total: number;
  totals?: { [name: string]: number | null };
}

export interface Message {
  seq: number;
  at: string;
  direction: "in" | "out";
  size: number;
  text?: string;
  base64?: string;
}

export interface ActiveFault {
  id: number;
  spec: string;
  since: string;
  by: string | null;
  throttle: boolean;
  phase: string;
  held: number | null;
}

export interface ServerEvent {
  event: string;
  seq?: number;
  at?: string;
  conn?: number | null;
  peer?: string | null;
  size?: number;
  text?: string;
  base64?: string;
  count?: number;
  [name: string]: unknown;
}

/** A finding of `portside diagnose`, with the connections (of this server) and the sockets that are in it. */
export interface Finding {
  code: string;
  severity: "info" | "warning" | "critical";
  subject: { kind: string; pid?: number; program?: string; local?: string; remote?: string };
  summary: string;
  evidence: { [name: string]: number | string };
  why: string;
  remedy: string;
  first_seen: string;
  last_seen: string;
  count: number;
  unseen: string[];
  conns: number[];
  conns_total: number;
  inodes: number[];
}

/** All findings, the most severe first, and how the server looks for them. */
export interface FindingReport {
  items: Finding[];
  total: number;
  at: string;
  watched: number;
  looks: number;
  notes: string[];
  blind: { [code: string]: string };
}

/** A row of the flight recorder: numbers by their names, `at` in milliseconds since 1970. */
export interface HistoryRow {
  at: number;
  [name: string]: number | null;
}
