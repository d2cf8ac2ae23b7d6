"""The present state of a fleet, added up from its messages: pure, without a clock and without I/O.

A message is applied with the time at which the broker stored it (``stored_at``, seconds since 1970), because that is
one clock for all machines. Nothing that a message says is trusted: what is kept is bounded, and what had no room is
counted in ``left_out``.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec

from portside.diagnosis.findings import Finding
from portside.fleet.schema import (
    CurrentFindings,
    Envelope,
    NodeStatus,
    OpenConnections,
    OutboxStatus,
    TrafficSummary,
)
from portside.kernel.models import Socket

MOST_NODES: Final = 5_000
MOST_SOCKETS: Final = 500_000
MOST_FINDINGS: Final = 50_000
MOST_SUMMARIES: Final = 500_000
MOST_OF_ONE: Final = 20_000
"""The most sockets, findings and groups of a summary that one node may have here."""

_MOST_RUNS = 4
_SHORTEST_S, _LONGEST_S = 0.1, 3600.0  # what is believed of the seconds between two signs of life
_ALIVE_SIGNS, _LATE_SIGNS = 2.5, 10.0  # as many signs may be missing
_GRACE_S = 1.0
_NOT_OPEN = frozenset(("LISTEN", "CLOSE", "TIME_WAIT"))

Life = Literal["alive", "late", "gone"]


class NodeName(NamedTuple):
    """The name of a machine: its site, and its name there."""

    site: str
    node: str


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as ``fleet nodes --json`` has it.

    ``state`` is ``alive`` while its signs of life come, ``late`` where some are missing, else ``gone``; ``ended`` is
    true of one whose agent said that it ends. ``age_s`` is how long ago the broker stored the last sign, and ``lag_s``
    how far what the node sends is behind: the age of the oldest record in its outbox, or of the sign itself when it was
    stored; below zero where its clock is ahead of the broker's. ``agents`` is above 1 where several agents use this
    name at a time. ``connections`` is how many sockets it has that are neither listening nor waiting in TIME_WAIT,
    ``findings`` how many conditions it told last, None where it never did.
    """

    site: str
    node: str
    state: Life
    ended: bool
    at: str
    age_s: float
    lag_s: float
    agents: int
    version: str
    system: str
    machine: str
    boot: str
    started: str
    every_s: float
    cpus: int
    load: float | None
    connections: int
    findings: int | None
    sockets: dict[str, int]
    cpu_s: float
    rss_bytes: int | None
    records: int
    outbox: OutboxStatus
    sampled: int
    lost: int
    notes: tuple[str, ...]


class OpenOfNode(NamedTuple):
    """The open connections that a node told last; ``total`` is how many there were."""

    name: NodeName
    at: str
    stored_at: float
    total: int
    sockets: tuple[Socket, ...]


class FindingOfNode(NamedTuple):
    """A condition that a node told last."""

    name: NodeName
    stored_at: float
    finding: Finding


class SummaryOfNode(NamedTuple):
    """The groups of connections that a node told last."""

    name: NodeName
    stored_at: float
    groups: tuple[TrafficSummary, ...]


class _AgentLife:
    """One run of an agent: from its first sign of life to its last, by the broker's clock and by its own."""

    __slots__ = ("boot", "ended", "first", "last", "last_at", "machine", "started_at")

    def __init__(self, boot: str, status: NodeStatus, stored_at: float) -> None:
        self.boot = boot
        self.machine = status.machine
        self.started_at = seconds_of(status.started)
        self.first = self.last = stored_at
        self.note(status, stored_at)

    def note(self, status: NodeStatus, stored_at: float) -> None:
        """Take a further sign of this run, which may be an earlier one."""
        self.first = min(self.first, stored_at)
        if stored_at < self.last:
            return
        self.last = stored_at
        self.last_at = seconds_of(status.at)
        self.ended = status.last


class _LastRecord(NamedTuple):
    """The last record of a kind that a node has told, and what orders it among others."""

    boot: str
    seq: int
    stored_at: float


class _Node:
    __slots__ = ("findings", "findings_kept", "open", "open_kept", "runs", "sign", "status", "summary", "summary_kept")

    def __init__(self) -> None:
        self.status: NodeStatus | None = None
        self.sign: _LastRecord | None = None
        self.runs: list[_AgentLife] = []  # the one with the latest sign is last
        self.open: OpenConnections | None = None
        self.open_kept: _LastRecord | None = None
        self.findings: CurrentFindings | None = None
        self.findings_kept: _LastRecord | None = None
        self.summary: tuple[TrafficSummary, ...] = ()
        self.summary_kept: _LastRecord | None = None


class FleetState:
    """The nodes of a fleet with all that is known of them. ``left_out`` counts what had no room, by its kind."""

    def __init__(
        self,
        *,
        most_nodes: int = MOST_NODES,
        most_sockets: int = MOST_SOCKETS,
        most_findings: int = MOST_FINDINGS,
        most_summaries: int = MOST_SUMMARIES,
    ) -> None:
        self._nodes: OrderedDict[NodeName, _Node] = OrderedDict()  # the one heard last is last
        self._most_nodes = most_nodes
        self._most = {"sockets": most_sockets, "findings": most_findings, "summaries": most_summaries}
        self._held: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.changes = 0
        """How many messages have changed something."""

    def __len__(self) -> int:
        return len(self._nodes)

    def apply(self, message: Envelope, stored_at: float) -> None:
        """Take a message of the kinds ``node``, ``open``, ``findings`` and ``summary``; others change nothing.

        One that is older than what is known of its node and kind changes nothing either.
        """
        if message.kind not in ("node", "open", "findings", "summary") or not message.records:
            return
        node = self._node(NodeName(message.site, message.node))
        kept = _LastRecord(message.boot, message.seq, stored_at)
        if message.kind == "node":
            changed = self._sign(node, kept, message.records[-1])
        elif message.kind == "open":
            changed = self._open(node, kept, message.records[-1])
        elif message.kind == "findings":
            changed = self._findings(node, kept, message.records[-1])
        else:
            changed = self._summary(node, kept, tuple(message.records))
        self.changes += changed

    def _node(self, name: NodeName) -> _Node:
        """The node of a name, made where it is new; the one that was not heard for longest makes room for it."""
        node = self._nodes.get(name)
        if node is None:
            while len(self._nodes) >= self._most_nodes:
                self._forget(self._nodes.popitem(last=False)[1])
                self.left_out["nodes"] += 1
            node = self._nodes[name] = _Node()
        self._nodes.move_to_end(name)
        return node

    def _forget(self, node: _Node) -> None:
        self._held["sockets"] -= 0 if node.open is None else len(node.open.sockets)
        self._held["findings"] -= 0 if node.findings is None else len(node.findings.findings)
        self._held["summaries"] -= len(node.summary)

    def _room(self, what: str, wanted: int, instead_of: int) -> int:
        """How many of ``wanted`` there is room for, once those that they replace are gone; the others are counted."""
        self._held[what] -= instead_of
        room = max(0, min(wanted, MOST_OF_ONE, self._most[what] - self._held[what]))
        self._held[what] += room
        if room < wanted:
            self.left_out[what] += wanted - room
        return room

    def _sign(self, node: _Node, kept: _LastRecord, status: NodeStatus) -> bool:
        _note_run(node.runs, kept, status)
        if not _is_newer(node.sign, kept):
            return False
        node.status, node.sign = status, kept
        return True

    def _open(self, node: _Node, kept: _LastRecord, told: OpenConnections) -> bool:
        if not _is_newer(node.open_kept, kept):
            return False
        room = self._room("sockets", len(told.sockets), 0 if node.open is None else len(node.open.sockets))
        if room < len(told.sockets):
            told = OpenConnections(at=told.at, total=told.total, sockets=told.sockets[:room])
        node.open, node.open_kept = told, kept
        return True

    def _findings(self, node: _Node, kept: _LastRecord, told: CurrentFindings) -> bool:
        if not _is_newer(node.findings_kept, kept):
            return False
        room = self._room("findings", len(told.findings), 0 if node.findings is None else len(node.findings.findings))
        if room < len(told.findings):
            told = CurrentFindings(at=told.at, findings=told.findings[:room], unseen=told.unseen)
        node.findings, node.findings_kept = told, kept
        return True

    def _summary(self, node: _Node, kept: _LastRecord, groups: tuple[TrafficSummary, ...]) -> bool:
        if not _is_newer(node.summary_kept, kept):
            return False
        before = node.summary_kept
        if before is not None and before.boot == kept.boot and node.summary and node.summary[0].at == groups[0].at:
            groups = (*node.summary, *groups)  # a minute that took more than one message
        node.summary = groups[: self._room("summaries", len(groups), len(node.summary))]
        node.summary_kept = kept
        return True

    def nodes(self, now: float) -> list[NodeReport]:
        """The nodes that have given a sign of life, by site and name, as they are at ``now``, seconds since 1970."""
        return [
            _report(name, node, node.status, node.sign, now)
            for name, node in sorted(self._nodes.items())
            if node.status is not None and node.sign is not None
        ]

    def opened(self, since: float = 0.0) -> Iterator[OpenOfNode]:
        """The open connections of each node that has told them from ``since`` on, seconds since 1970."""
        for name, node in sorted(self._nodes.items()):
            if node.open is not None and node.open_kept is not None and node.open_kept.stored_at >= since:
                yield OpenOfNode(name, node.open.at, node.open_kept.stored_at, node.open.total, node.open.sockets)

    def findings(self, since: float = 0.0) -> Iterator[FindingOfNode]:
        """The findings of each node that has told them from ``since`` on."""
        for name, node in sorted(self._nodes.items()):
            if node.findings is not None and node.findings_kept is not None and node.findings_kept.stored_at >= since:
                for finding in node.findings.findings:
                    yield FindingOfNode(name, node.findings_kept.stored_at, finding)

    def unseen(self, since: float = 0.0) -> Iterator[tuple[NodeName, str, str]]:
        """The codes of findings that a node could not look for, and why."""
        for name, node in sorted(self._nodes.items()):
            if node.findings is not None and node.findings_kept is not None and node.findings_kept.stored_at >= since:
                for code, why in node.findings.unseen.items():
                    yield name, code, why

    def summaries(self, since: float = 0.0) -> Iterator[SummaryOfNode]:
        """The last summary of each node that has told one from ``since`` on."""
        for name, node in sorted(self._nodes.items()):
            if node.summary and node.summary_kept is not None and node.summary_kept.stored_at >= since:
                yield SummaryOfNode(name, node.summary_kept.stored_at, node.summary)


def seconds_of(at: str) -> float | None:
    """A time in ISO 8601 as seconds since 1970; None where it is none."""
    try:
        time = datetime.fromisoformat(at)
        return None if time.tzinfo is None else time.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def life(age_s: float, every_s: float, *, ended: bool) -> Life:
    """Whether a node is alive, by the age of its last sign and how often it gives one."""
    if ended:
        return "gone"
    every_s = _believed(every_s)
    if age_s <= every_s * _ALIVE_SIGNS + _GRACE_S:
        return "alive"
    return "late" if age_s <= every_s * _LATE_SIGNS + _GRACE_S else "gone"


def _believed(every_s: float) -> float:
    return min(max(_SHORTEST_S, every_s), _LONGEST_S)  # in this order the shortest for NaN


def _is_newer(known: _LastRecord | None, kept: _LastRecord) -> bool:
    """Whether a record is newer than the known one: by its number within a run, else by when it was stored."""
    if known is None:
        return True
    if known.boot == kept.boot:
        return kept.seq > known.seq
    return kept.stored_at >= known.stored_at


def _note_run(runs: list[_AgentLife], kept: _LastRecord, status: NodeStatus) -> None:
    """Take a sign of life into the runs of a node; the run with the latest sign is the last one."""
    run = next((each for each in runs if each.boot == kept.boot), None)
    if run is None:
        run = _AgentLife(kept.boot, status, kept.stored_at)
    else:
        runs.remove(run)
        run.note(status, kept.stored_at)
    runs.append(run)
    runs.sort(key=lambda each: each.last)
    del runs[:-_MOST_RUNS]


def _agents(runs: list[_AgentLife], every_s: float) -> int:
    """How many agents gave signs of life under one name at a time, up to the last sign.

    A run that another followed is no such agent, and what its outbox still had is sent before the signs of the next.
    """
    latest = runs[-1]
    recent = latest.last - _believed(every_s) * _LATE_SIGNS
    return 1 + sum(
        not run.ended and run.last >= recent and run.last >= latest.first and _was_running(run, latest)
        for run in runs[:-1]
    )


def _was_running(run: _AgentLife, latest: _AgentLife) -> bool:
    """Whether a run still gave a sign after the latest one had begun, by the clock of the machine if it is one."""
    if run.machine != latest.machine or run.last_at is None or latest.started_at is None:
        return True
    return run.last_at > latest.started_at


def _report(name: NodeName, node: _Node, status: NodeStatus, sign: _LastRecord, now: float) -> NodeReport:
    age_s = max(0.0, now - sign.stored_at)
    made = seconds_of(status.at)
    behind = 0.0 if made is None else sign.stored_at - made
    return NodeReport(
        site=name.site,
        node=name.node,
        state=life(age_s, status.every_s, ended=status.last),
        ended=status.last,
        at=status.at,
        age_s=round(age_s, 3),
        lag_s=round(behind if behind < 0 else max(behind, status.outbox.oldest_s or 0.0), 3),
        agents=_agents(node.runs, status.every_s),
        version=status.version,
        system=status.system,
        machine=status.machine,
        boot=sign.boot,
        started=status.started,
        every_s=status.every_s,
        cpus=status.cpus,
        load=status.load,
        connections=sum(count for state, count in status.sockets.items() if state not in _NOT_OPEN),
        findings=None if node.findings is None else len(node.findings.findings),
        sockets=dict(status.sockets),
        cpu_s=status.cpu_s,
        rss_bytes=status.rss_bytes,
        records=status.records,
        outbox=status.outbox,
        sampled=status.sampled,
        lost=status.lost,
        notes=status.notes,
    )
