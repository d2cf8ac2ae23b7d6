"""``fleet connections``: what is open in a fleet, both ends of a connection in one row where both are in it."""

from collections.abc import Sequence

from portside.app.cell_text import owners_text
from portside.app.notices import write_notice
from portside.app.stdout import terminal_width
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.filter import FilteredSocket, SocketFilter
from portside.fleet.query.joining import End, Joined, join
from portside.fleet.query.run import follow, read, run, say_left_out
from portside.fleet.query.state import FleetState, OpenOfNode
from portside.fleet.query.stream import JetStreamReader, Which
from portside.fleet.query.text import Screen, name_cell, number_cell, table, write, write_json
from portside.settings.fleet import FleetConnections
from portside.units import counted

_DRAW_S = 2.0
HEADINGS = (
    "Node", ">Recv-Q", ">Send-Q", "Local Address", "Other Node", ">Recv-Q", ">Send-Q", "Foreign Address", "State",
    "Programs",
)  # fmt: skip
_UNKNOWN = "-"


def run_connections(settings: FleetConnections) -> int:
    """Show the connections; the exit status."""
    chosen = SocketFilter(" ".join(settings.filter), "fleet connections")

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        state = FleetState()
        # The other end may be on a node that is not asked for, and is shown all the same.
        which = Which(("open",))

        def told() -> list[OpenOfNode]:
            return list(state.opened(reader.clock.now() - settings.since))

        try:
            if settings.follow:
                screen = Screen(json=settings.json)
                await follow(
                    reader.last(which, follow=True), state.apply, lambda: _draw(screen, told(), settings, chosen),
                    every_s=_DRAW_S,
                )  # fmt: skip
            else:
                await read(reader.last(which), state.apply)
                _show(told(), settings, chosen)
        finally:
            say_left_out(reader, state)

    return run(settings, work, name="fleet connections", is_lasting=settings.follow)


def rows_of(told: Sequence[OpenOfNode], settings: FleetConnections, chosen: SocketFilter) -> list[Joined]:
    """The connections of which one end matches, with the bytes that wait first."""

    def is_wanted(end: End | None) -> bool:
        if end is None or settings.site not in (None, end.name.site) or settings.node not in (None, end.name.node):
            return False
        return chosen.is_empty or chosen.matches(FilteredSocket(end.name, end.socket))

    return [each for each in join(told) if is_wanted(each.one) or is_wanted(each.other)]


def _show(told: Sequence[OpenOfNode], settings: FleetConnections, chosen: SocketFilter) -> None:
    rows = rows_of(told, settings, chosen)
    if settings.json:
        write_json(map(json_row, rows))
    elif rows:
        write(b"".join(table(HEADINGS, [row(each) for each in rows], terminal_width())))
    for sentence in sentences(told, settings, rows):
        write_notice(sentence)


def _draw(screen: Screen, told: Sequence[OpenOfNode], settings: FleetConnections, chosen: SocketFilter) -> None:
    rows = rows_of(told, settings, chosen)
    if screen.json:
        values = ((_key(each), json_row(each)) for each in rows)
        screen.write_changes((key, value, value) for key, value in values)
    else:
        below = sentences(told, settings, rows)
        screen.draw(table(HEADINGS, [row(each) for each in rows], screen.width), below)


def _key(each: Joined) -> dict[str, object]:
    """The name of a connection in the JSON of one that has gone."""
    ends = [each.one] if each.other is None else [each.one, each.other]
    return {
        "ends": [
            {**end.name._asdict(), "socket": {"local": end.socket.local, "remote": end.socket.remote}} for end in ends
        ]
    }


def sentences(told: Sequence[OpenOfNode], settings: FleetConnections, rows: Sequence[Joined]) -> list[str]:
    """The sentences beside the rows."""
    told = [
        each for each in told if settings.site in (None, each.name.site) and settings.node in (None, each.name.node)
    ]
    said = []
    if not told:
        which = "no node" if settings.site is None and settings.node is None else "no such node"
        return [f"{which} has told its open connections within this time: `portside agent` tells them"]
    both = sum(each.other is not None for each in rows)
    ambiguous = sum(each.ambiguous for each in rows)
    ends = f"both ends of {both} are in the fleet"
    if ambiguous:
        ends += f", and for {ambiguous} several sockets could be the other end"
    if rows:
        said.append(f"{counted(len(rows), 'connection')} on {counted(len(told), 'node')}: {ends}")
    else:
        which = " that match" if settings.filter else ""
        said.append(f"no open connections{which} on {counted(len(told), 'node')}")
    short = [(each.total - len(each.sockets), each) for each in told if each.total > len(each.sockets)]
    if short:
        missing, most = max(short, key=lambda each: each[0])
        said.append(
            f"{counted(len(short), 'node')} had no room for all: {name_cell(most.name.node)} told "
            f"{len(most.sockets)} of {most.total}, {missing} are missing"
        )
    return said


def row(each: Joined) -> tuple[str, ...]:
    """A connection as a row of the table."""
    one, other = each.one.socket, each.other.socket if each.other is not None else None
    states = one.state if other is None or other.state == one.state else f"{one.state}/{other.state}"
    programs = [owners_text(socket.owners or ()) for socket in (one, other) if socket is not None]
    elsewhere = "?" if each.ambiguous else _UNKNOWN
    return (
        name_cell(each.one.name.node), number_cell(one.recv_q), number_cell(one.send_q), name_cell(one.local),
        elsewhere if each.other is None else name_cell(each.other.name.node),
        _UNKNOWN if other is None else number_cell(other.recv_q),
        _UNKNOWN if other is None else number_cell(other.send_q),
        name_cell(one.remote), name_cell(states), " -> ".join(name_cell(program) for program in programs),
    )  # fmt: skip


def json_row(each: Joined) -> dict[str, object]:
    """A connection as JSON: its ends, one or two, each with its node and its socket as ``watch --json`` has it."""
    ends = [each.one] if each.other is None else [each.one, each.other]
    return {"ends": [_json_end(end) for end in ends], "waiting": each.waiting, "ambiguous": each.ambiguous}


def _json_end(end: End) -> dict[str, object]:
    import msgspec

    return {"site": end.name.site, "node": end.name.node, "at": end.at, "socket": msgspec.to_builtins(end.socket)}
