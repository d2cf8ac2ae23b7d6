"""``fleet top``: which programs, nodes, ports and networks have the most."""

from collections.abc import Callable, Sequence

from portside.app.cell_text import microseconds_text
from portside.app.notices import write_notice
from portside.app.stdout import terminal_width
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.broker_clock import BrokerClock
from portside.fleet.query.counts import Group, Key, TopCounts, TopRow, named
from portside.fleet.query.run import follow, read, run, say_left_out
from portside.fleet.query.state import FleetState, NodeName
from portside.fleet.query.stream import JetStreamReader, Which
from portside.fleet.query.text import Screen, labelled, name_cell, number_cell, size_cell, table, write, write_json
from portside.fleet.schema import Envelope, TrafficSummary
from portside.settings.fleet import FleetTop

_DRAW_S = 2.0
_MINUTE_S = 60.0
_LONGEST_PERIOD_S = 3600.0
_MOST_KEPT = 2_000_000  # groups of summaries, while following over more than a minute
_HEADINGS = (
    ">Connections", ">Opened", ">Closed", ">Resets", ">Received", ">Sent", ">Retrans", ">Lost", ">RTT", ">Recv-Q",
    ">Send-Q", ">Nodes",
)  # fmt: skip

Matches = Callable[[NodeName, TrafficSummary], bool]


def run_top(settings: FleetTop) -> int:
    """Show the groups with the most; the exit status."""
    matches = _matches(settings)

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        which = Which(("summary",), settings.site, settings.node)
        summaries = _Summaries(settings.since, reader.clock)
        batches = reader.last if settings.since <= _MINUTE_S else _since(reader, settings.since)
        try:
            if settings.follow:
                screen = Screen(json=settings.json)
                await follow(
                    batches(which, follow=True),
                    summaries.apply,
                    lambda: _draw(screen, _rows(summaries, settings, matches), settings),
                    every_s=_DRAW_S,
                )
            else:
                await read(batches(which), summaries.apply)
                _show(_rows(summaries, settings, matches), settings)
        finally:
            say_left_out(reader, summaries.state)

    return run(settings, work, name="fleet top", is_lasting=settings.follow)


def _since(reader: JetStreamReader, since_s: float):  # type: ignore[no-untyped-def]
    return lambda which, follow=False: reader.history(which, since_s, follow=follow)


def _matches(settings: FleetTop) -> Matches | None:
    text = " ".join(settings.filter)
    if not text.strip():
        return None
    from portside.fleet.query.filter import SummaryFilter, SummaryRow  # which most runs do without

    chosen = SummaryFilter(text, "fleet top")
    return lambda name, group: chosen.matches(SummaryRow(name, group))


class _Summaries:
    """The last summary of each node, and those before it that are in the time that is asked for."""

    def __init__(self, since_s: float, clock: BrokerClock) -> None:
        self.since_s = since_s
        self.state = FleetState()
        self._clock = clock
        self._earlier: list[tuple[float, Envelope]] = []
        self._kept = 0

    def apply(self, message: Envelope, stored_at: float) -> None:
        self.state.apply(message, stored_at)
        if self.since_s > _MINUTE_S and message.records:
            self._earlier.append((stored_at, message))
            self._kept += len(message.records)
            if self._kept > _MOST_KEPT:
                self._forget_before(float("inf"))

    def _forget_before(self, time: float) -> None:
        """Forget what is older than a time, or half where there is too much."""
        self._earlier = [each for each in self._earlier if each[0] >= time] or self._earlier[len(self._earlier) // 2 :]
        self._kept = sum(len(message.records) for _, message in self._earlier)

    def count(self, group: Group, matches: Matches | None) -> TopCounts:
        """The sums of the time that is asked for."""
        counts = TopCounts(group)
        end = self._clock.now()
        last: set[tuple[NodeName, str]] = set()
        for name, stored_at, groups in self.state.summaries():
            period_s = min(max(0.0, groups[0].period_s), _LONGEST_PERIOD_S)
            if stored_at < end - max(self.since_s, _MINUTE_S) - 2 * period_s:
                continue
            last.add((name, groups[0].at))
            counts.add(name, _chosen(name, groups, matches), is_last=True)
        if self._earlier and self._earlier[0][0] < end - self.since_s:
            self._forget_before(end - self.since_s)
        for _, message in self._earlier:
            name = NodeName(message.site, message.node)
            if (name, message.records[0].at) not in last:
                counts.add(name, _chosen(name, message.records, matches), is_last=False)
        return counts


def _chosen(name: NodeName, groups: Sequence[TrafficSummary], matches: Matches | None) -> Sequence[TrafficSummary]:
    return groups if matches is None else [each for each in groups if matches(name, each)]


def _rows(summaries: _Summaries, settings: FleetTop, matches: Matches | None) -> list[tuple[Key, TopRow]]:
    return summaries.count(settings.group, matches).rows(settings.by, settings.limit)  # type: ignore[arg-type]


def _show(rows: Sequence[tuple[Key, TopRow]], settings: FleetTop) -> None:
    if settings.json:
        write_json(labelled(named(key, settings.group), row) for key, row in rows)  # type: ignore[arg-type]
    elif rows:
        write(b"".join(_table(rows, settings, terminal_width())))
    if not rows:
        write_notice(_nothing(settings))


def _nothing(settings: FleetTop) -> str:
    which = " that match" if settings.filter else ""
    return f"no summary of connections{which} came within this time: `portside agent` sends one each minute"


def _draw(screen: Screen, rows: Sequence[tuple[Key, TopRow]], settings: FleetTop) -> None:
    if screen.json:
        keyed = [(named(key, settings.group), row) for key, row in rows]  # type: ignore[arg-type]
        screen.write_changes((key, row, labelled(key, row)) for key, row in keyed)
    else:
        screen.draw(_table(rows, settings, screen.width), [] if rows else [_nothing(settings)])


def _table(rows: Sequence[tuple[Key, TopRow]], settings: FleetTop, width: int | None) -> list[bytes]:
    first = ("Node", "Site") if settings.group == "node" else (settings.group.capitalize(),)
    cells = [(*map(name_cell, reversed(key)), *_cells(row)) for key, row in rows]
    return list(table((*first, *_HEADINGS), cells, width))


def _cells(row: TopRow) -> tuple[str, ...]:
    lost = f"{100 * row.retransmits / row.segments_out:.2g}%" if row.segments_out else "-"
    return (
        number_cell(row.connections), number_cell(row.opened), number_cell(row.closed), number_cell(row.resets),
        size_cell(row.bytes_received), size_cell(row.bytes_sent), number_cell(row.retransmits), lost,
        "-" if row.rtt_us is None else microseconds_text(row.rtt_us), size_cell(row.recv_q), size_cell(row.send_q),
        number_cell(row.nodes),
    )  # fmt: skip
