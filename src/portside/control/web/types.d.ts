/** What the control API answers, as far as the page reads it. Unknown is null, never 0. */

interface Listener {
  address: string;
  accept_queue: number | null;
  accept_queue_limit: number | null;
  drops: number | null;
}

interface Counts {
  open: number;
  opened: number;
  closed: { [reason: string]: number };
  refused: { [reason: string]: number };
  received: number;
  sent: number;
}

/** The number of a connection; where several servers are shown as one, `PID/7`. */
type ConnName = number | string;

/** One of several servers. */
interface OneOfServers {
  pid: number;
  uptime: number;
  listeners: Listener[];
  counts: Counts;
}

/** What a server says of itself; several that are shown as one have `servers`, and the PIDs that do not answer. */
interface ServerFacts {
  pid: number;
  uptime: number;
  servers?: OneOfServers[];
  silent?: number[];
  nodes?: { [life: string]: number };
  version: string;
  node: string;
  started: string;
  read_only: boolean;
  listeners: Listener[];
  options: { [name: string]: unknown };
  counts: Counts;
}

interface Owner {
  pid: number;
  program: string | null;
}

/** A socket as the kernel sees it: the JSON of `portside watch --json`; of a fleet with its `node`. */
interface KernelSocket {
  node?: string;
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
interface BytePlaces {
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
  conn: ConnName;
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
interface ConnectionItem extends ConnectionFields {
  kernel?: { [column: string]: number | string | boolean | null };
  owners?: Owner[] | null;
}

/** One connection with the kernel's sockets of both ends. */
interface Connection extends ConnectionFields {
  kernel: KernelSocket | null;
  peer_socket: KernelSocket | null;
  bytes: BytePlaces | null;
  gaps: { [name: string]: string };
}

interface Page<Item> {
  items: Item[];
  total: number;
  totals?: { [name: string]: number | null } | undefined;
}

interface Message {
  seq: number;
  at: string;
  direction: "in" | "out";
  size: number;
  text?: string;
  base64?: string;
}

interface ActiveFault {
  id: number;
  spec: string;
  since: string;
  by: string | null;
  throttle: boolean;
  phase: string;
  held: number | null;
}

interface ServerEvent {
  event: string;
  node?: string;
  seq?: number;
  at?: string;
  server?: number;
  conn?: number | null;
  peer?: string | null;
  size?: number;
  text?: string;
  base64?: string;
  count?: number;
  [name: string]: unknown;
}

/** A finding of `portside diagnose`, with the connections (of this server) and the sockets that are in it. */
interface Finding {
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
  conns: ConnName[];
  conns_total: number;
  node?: string;
  nodes?: string[];
  nodes_total?: number;
  inodes: number[];
}

/** All findings, the most severe first, and how the server looks for them. */
interface FindingReport {
  items: Finding[];
  total: number;
  at: string;
  watched: number;
  looks: number;
  notes: string[];
  blind: { [code: string]: string };
}

/** A row of the flight recorder: numbers by their names, `at` in milliseconds since 1970. */
interface HistoryRow {
  at: number;
  [name: string]: number | null;
}

/** A column of a table: `text` makes what a cell shows, `tone` a class for it. `width` is a track of the grid. */
interface Column<Item> {
  id: string;
  heading: string;
  title: string;
  width: string;
  text: (item: Item) => string;
  tone?: (item: Item) => string;
  sort?: string;
  number?: boolean;
  data?: boolean;
}

/** A machine of a fleet. */
interface FleetNode {
  node: string;
  site: string;
  life: "alive" | "late" | "gone";
  age_s: number | null;
  lag_s: number | null;
  connections: number | null;
  findings: number | null;
  load: number | null;
  cpus: number;
  outbox: { bytes: number };
  version: string;
  system: string;
  notes: string[];
}

/** A list of the server with a filter; `which` is asked beside it, `none` is said where no row is, `totals` below. */
interface ListOptions<Item> {
  path: string;
  label: string;
  placeholder: string;
  columns: (width: number) => Column<Item>[];
  key: (item: Item) => string;
  sort?: string;
  which?: () => Record<string, string | null>;
  open?: (item: Item) => void;
  rowTone?: (item: Item) => string;
  none?: () => string;
  totals?: (rows: Pick<Page<Item>, "total" | "totals">) => string;
}

/** A column that is shown where the table is as wide as `shown`, in pixels; the API is asked for its `fields`. */
interface FittingColumn<Item> extends Column<Item> {
  fields: string[];
  shown: number;
}

/** What a table shows, and how it asks for it. */
interface TableOptions<Item> {
  label: string;
  key: (item: Item) => string;
  load: (offset: number, limit: number, sort: string) => Promise<Page<Item>>;
  loaded: (error: unknown) => void;
  open?: (item: Item) => void;
  sorted?: (sort: string) => void;
  sort: string;
  rowTone?: (item: Item) => string;
}
