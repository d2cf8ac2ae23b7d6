"""``fleet findings``: what is wrong in a fleet, the same condition on many machines as one."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from portside.app.diagnose_text import evidence_text, subject_text
from portside.app.notices import write_notice
from portside.app.stdout import terminal_width, write_lines
from portside.diagnosis.findings import Finding
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.broker_clock import BrokerClock
from portside.fleet.query.conditions import EndedFindings, FleetFinding, group
from portside.fleet.query.run import ReaderGoneError, follow, read, run, say_left_out
from portside.fleet.query.state import FleetState
from portside.fleet.query.stream import JetStreamReader, Which
from portside.fleet.query.text import Screen, name_cell, write_json
from portside.fleet.schema import Envelope
from portside.settings.fleet import FleetFindings
from portside.units import counted
from portside.wire.escaping import escape_text

_DRAW_S = 1.0
_INDENT = 10
_LEAST_WIDTH = 50
_MOST_NAMES = 4
_MOST_TEXT = 2000  # characters of the words of a finding
_NOBODY = "no node has given a sign of life: `portside agent` gives them"


def run_findings(settings: FleetFindings) -> int:
    """Show what is wrong; the exit status."""

    async def work(broker: BrokerConnection) -> None:
        reader = JetStreamReader(broker, settings.js_domain)
        found = _Found(settings, reader.clock)
        try:
            await read(reader.last(_which(settings)), found.apply)
            if settings.since is not None:
                reader.left_out.forget_seen()
                which = Which(("findings",), settings.site, settings.node)
                await read(reader.history(which, settings.since), found.apply)
            if settings.follow:
                screen = Screen(json=settings.json)
                reader.left_out.forget_seen()
                await follow(
                    reader.last(_which(settings), follow=True), found.apply, lambda: _draw(screen, found),
                    every_s=_DRAW_S,
                )  # fmt: skip
            else:
                _show(found, json=settings.json)
        finally:
            say_left_out(reader, found.state)

    return run(settings, work, name="fleet findings", is_lasting=settings.follow)


def _which(settings: FleetFindings) -> Which:
    return Which(("node", "findings"), settings.site, settings.node)


class _Found:
    """The findings of and those of the time that is asked for."""

    def __init__(self, settings: FleetFindings, clock: BrokerClock) -> None:
        self.state = FleetState()
        self._clock = clock
        self._since_s = settings.since
        self._ended = EndedFindings()

    def apply(self, message: Envelope, stored_at: float) -> None:
        self.state.apply(message, stored_at)
        if self._since_s is not None:
            self._ended.apply(message, stored_at)

    def groups(self) -> tuple[list[FleetFinding], list[str]]:
        """The findings put together, and what is to be said beside them."""
        end = self._clock.now()
        nodes = self.state.nodes(end)
        gone = {(node.site, node.node) for node in nodes if node.state == "gone"}
        told = list(self.state.findings())
        current = [each for each in told if each.name not in gone]
        ended = [] if self._since_s is None else self._ended.ended(current, end - self._since_s)
        said = []
        if left := len({each.name for each in told if each.name in gone}):
            said.append(f"what {counted(left, 'node')} told before being gone is not among what is wrong now")
        blind = sorted({code for name, code, _ in self.state.unseen() if name not in gone})
        if blind:
            said.append(f"not looked for on every node: {', '.join(name_cell(code) for code in blind[:20])}")
        alive = len(nodes) - len(gone)
        if not current and not ended:
            said.append(f"nothing found: {counted(alive, 'node')} alive" if nodes else _NOBODY)
        return group(current, ended), said


def _show(found: _Found, *, json: bool) -> None:
    groups, said = found.groups()
    if json:
        write_json(groups)
    elif not write_lines(line for each in groups for line in finding_lines(each, terminal_width())):
        raise ReaderGoneError
    for sentence in said:
        write_notice(sentence)


def _draw(screen: Screen, found: _Found) -> None:
    groups, said = found.groups()
    if screen.json:
        screen.write_changes(
            ({"code": each.code, "kind": each.kind, "ended": each.ended}, each, each) for each in groups
        )
        return
    lines = (line for each in groups for line in finding_lines(each, screen.width))
    screen.draw((f"{escape_text(line)}\n".encode() for line in lines), said)


def finding_lines(each: FleetFinding, width: int | None) -> Iterator[str]:
    """A finding: what and where, then in sentences the words of the machine that has it worst."""
    word = "ended" if each.ended else each.severity
    yield f"{word:<{_INDENT}}{name_cell(each.code):<15}   {_nodes_text(each)}"
    of = "" if len(each.nodes) == 1 else f"{name_cell(each.example_node)}: "
    yield from _indented(f"{of}{_subject(each.example)}", width)
    yield from _indented(each.example.summary, width)
    yield from _indented(f"Evidence: {evidence_text(dict(list(each.example.evidence.items())[:20]))}.", width)
    yield from _indented(f"Do: {each.example.remedy}", width)
    if each.ended:
        yield from _indented(f"Seen last at {name_cell(each.last_seen)}.", width)


def _nodes_text(each: FleetFinding) -> str:
    names = ", ".join(name_cell(node.node) for node in each.nodes[:_MOST_NAMES])
    more = f" and {len(each.nodes) - _MOST_NAMES} more" if len(each.nodes) > _MOST_NAMES else ""
    many = f", {each.subjects} times" if each.subjects > len(each.nodes) else ""
    return f"{counted(len(each.nodes), 'node')}: {names}{more}{many}"


def _subject(finding: Finding) -> str:
    return subject_text(finding.subject)


def _indented(text: str, width: int | None) -> Sequence[str]:
    text = text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
    if width is None:
        return [" " * _INDENT + text]
    lines = wrap(text, max(_LEAST_WIDTH, width - _INDENT), break_long_words=True, break_on_hyphens=False)
    return [" " * _INDENT + line for line in lines]
