"""``fleet nodes``: the machines of a fleet."""

from collections.abc import Iterable, Sequence

from portside.app.notices import write_notice
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.broker_clock import BrokerClock
from portside.fleet.query.run import follow, read, run, say_left_out
from portside.fleet.query.state import FleetState, NodeReport
from portside.fleet.query.stream import JetStreamReader, Which
from portside.fleet.query.text import (
    Screen,
    load_cell,
    name_cell,
    number_cell,
    seconds_cell,
    size_cell,
    table,
    write_json,
    write_table,
)
from portside.settings.fleet import FleetNodes

AGENTS_S = 60.0
"""How far back signs of life are read for two agents that use one name in turn."""

_DRAW_S = 1.0
HEADINGS = (
    "Node", "Site", "State", ">Seen", ">Lag", ">Load", ">Sockets", ">Findings", ">Waiting", ">Dropped", "Version",
    "Remarks",
)  # fmt: skip
_DIFFERENT_CLOCK_S = 2.0


def run_nodes(settings: FleetNodes) -> int:
    """Show the nodes; the exit status."""

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        state = FleetState()
        try:
            await _read_signs(reader, state, settings)
            if settings.follow:
                await _follow(reader, state, settings)
            else:
                _show(chosen(state, settings, reader.clock), json=settings.json)
        finally:
            say_left_out(reader, state)

    return run(settings, work, name="fleet nodes", is_lasting=settings.follow)


async def _read_signs(reader: JetStreamReader, state: FleetState, settings: FleetNodes) -> None:
    """Read the last signs of life and findings of each node, then the signs of the last minute."""
    which = Which(("node", "findings"), settings.site, settings.node)
    await read(reader.last(which), state.apply)
    reader.left_out.forget_seen()
    which = Which(("node",), settings.site, settings.node)
    await read(reader.history(which, AGENTS_S), state.apply)


async def _follow(reader: JetStreamReader, state: FleetState, settings: FleetNodes) -> None:
    """Show the nodes anew each second, as they give signs and as time passes."""
    screen = Screen(json=settings.json)
    reader.left_out.forget_seen()

    def draw() -> None:
        nodes = chosen(state, settings, reader.clock)
        if screen.json:
            screen.write_changes((_key(node), (node.at, node.state, node.agents), node) for node in nodes)
        else:
            screen.draw(table(HEADINGS, [row(node) for node in nodes], screen.width), [_sentence(nodes)])

    which = Which(("node", "findings"), settings.site, settings.node)
    await follow(reader.last(which, follow=True), state.apply, draw, every_s=_DRAW_S)


def chosen(state: FleetState, settings: FleetNodes, clock: BrokerClock) -> list[NodeReport]:
    """The nodes that gave a sign within the time that is asked for."""
    return [node for node in state.nodes(clock.now()) if node.age_s <= settings.since]


def _show(nodes: Sequence[NodeReport], *, json: bool) -> None:
    if json:
        write_json(nodes)
        return
    if nodes:
        write_table(HEADINGS, [row(node) for node in nodes])
    write_notice(_sentence(nodes))


def _key(node: NodeReport) -> dict[str, str]:
    return {"site": node.site, "node": node.node}


def _sentence(nodes: Sequence[NodeReport]) -> str:
    """``3 nodes: 2 alive, 1 gone``."""
    if not nodes:
        return "no node has given a sign of life within this time: `portside agent` gives them"
    states = [f"{count} {state}" for state in ("alive", "late", "gone") if (count := _count(nodes, state))]
    return f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}: {', '.join(states)}"


def _count(nodes: Iterable[NodeReport], state: str) -> int:
    return sum(node.state == state for node in nodes)


def row(node: NodeReport) -> tuple[str, ...]:
    """A node as a row of the table."""
    return (
        name_cell(node.node), name_cell(node.site), node.state, seconds_cell(node.age_s),
        seconds_cell(max(node.lag_s, 0.0)), load_cell(node.load), number_cell(node.connections),
        number_cell(node.findings), size_cell(node.outbox.bytes) if node.outbox.records else "0",
        number_cell(node.outbox.dropped), name_cell(node.version, 20), "; ".join(remarks(node)) or "-",
    )  # fmt: skip


def remarks(node: NodeReport) -> list[str]:
    """The remarks about a node, beside its numbers."""
    said = []
    if node.agents > 1:
        said.append(f"{node.agents} agents use this name")
    if node.ended:
        said.append("ended in order")
    if node.lag_s < -_DIFFERENT_CLOCK_S:
        said.append(f"its clock is {seconds_cell(-node.lag_s)} ahead")
    if node.sampled:
        said.append(f"{number_cell(node.sampled)} events left out by sampling")
    if node.lost:
        said.append(f"{number_cell(node.lost)} announcements lost")
    said += [name_cell(note, 120) for note in node.notes[:3]]
    return said
