"""The screen of one connection: what is said, what the kernel knows of it, and a line to answer with."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from portside.control.client.http_client import ApiError
from portside.errors import InvalidValue
from portside.tui.console.acting import ActingScreen
from portside.tui.console.columns import Row, bytes_text, note_text, state_text, time_text
from portside.tui.console.facts import FactView, Known, fact_lines
from portside.tui.console.finding_text import finding_line
from portside.tui.console.history import SPANS_S, FactHistory
from portside.tui.console.link import ConnName
from portside.tui.console.screen import Typing
from portside.tui.console.send_line import SendLine
from portside.tui.console.session import ConsoleSession
from portside.tui.console.transcript_view import TranscriptView
from portside.tui.widths import cut
from portside.units import parse_text
from portside.wire.escaping import escape_text

_MOST_MESSAGES = 1000  # that the API gives at once
_OTHER_RUN = "the server was started anew: this is what the connection was in the run before"
_NOT_FOUND, _GONE = 404, 410


class ConnectionScreen(ActingScreen):
    """One connection, open or closed, of the run of the server in which the screen was opened."""

    KEYS = "Enter send  x hex  / search  p pause  f fault  k reset  ← → time  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back"),
        Binding("q", "app.pop_screen"),
        Binding("enter,i", "send"),
        Binding("x", "mode"),
        Binding("slash", "search"),
        Binding("less_than_sign", "found(-1)"),
        Binding("greater_than_sign", "found(1)"),
        Binding("left", "time(-1)", priority=True),
        Binding("right", "time(1)", priority=True),
        Binding("z", "span"),
        Binding("v", "facts"),
    ]
    DEFAULT_CSS = """
    ConnectionScreen .title { height: 1; }
    ConnectionScreen .facts, ConnectionScreen .findings { height: auto; max-height: 50%; }
    ConnectionScreen .idle { height: 1; text-style: dim; }
    """

    def __init__(self, session: ConsoleSession, row: Row) -> None:
        super().__init__(session)
        self._run = session.link.run
        self.details: Mapping[str, Any] = row
        self._faults: Sequence[Mapping[str, Any]] = ()
        self._history = FactHistory()
        self._after: str | None = None
        self._view = FactView(None, SPANS_S[0])
        self.transcript = TranscriptView()
        self.send_line = SendLine(session.worker, self.put, self._send)
        self._title = Static("", classes="title")
        self._findings = Static("", classes="findings")
        self._facts = Static("", classes="facts")
        self._idle = Static("", classes="idle")

    @property
    def conn(self) -> ConnName:
        """The number of the connection."""
        conn: ConnName = self.details["conn"]
        return conn

    def body(self) -> Iterable[Widget]:
        yield self._title
        yield self._findings
        yield self.transcript
        yield self._facts
        yield self._idle
        yield self.send_line.bar
        yield self.prompt.bar

    def on_mount(self) -> None:
        self.transcript.focus()
        super().on_mount()

    @property
    def typing(self) -> Typing | None:
        return self.prompt if self.prompt.is_open else self.send_line if self.send_line.is_open else None

    def target(self) -> Row | None:
        return self.details if self.session.link.run == self._run else None

    def say(self, message: str) -> None:
        super().say(message if self.target() is not None else _OTHER_RUN)

    # Asking.

    async def poll(self) -> None:
        if self.session.link.run != self._run:
            self.message = _OTHER_RUN
            return
        path = f"/api/v1/connections/{self.conn}"
        try:
            self.details = await self.session.ask("GET", path)
        except ApiError as error:
            if error.http_status != _NOT_FOUND:
                raise
            self.problem = error.why
            return
        self.problem = ""
        await asyncio.gather(
            self._poll_messages(f"{path}/messages"), self._poll_history(f"{path}/history"), self._poll_faults(path)
        )

    async def _poll_messages(self, path: str) -> None:
        query: dict[str, str | int] = {"limit": _MOST_MESSAGES}
        if self._after is not None:
            query["after"] = self._after
        try:
            page = await self.session.ask("GET", path, query=query)
        except ApiError as error:
            if error.http_status != _NOT_FOUND:
                raise
            self.transcript.empty = error.why
            return
        said = self.details["received"] or self.details["sent"]
        self.transcript.empty = "what was said before the first look is not held" if said else "nothing was said yet"
        self.transcript.add(page)
        self._after = page["next"]

    async def _poll_history(self, path: str) -> None:
        since = {"since": self._history.newest} if self._history.newest is not None else {}
        self._history.add(await self.session.ask("GET", path, query=since))

    async def _poll_faults(self, path: str) -> None:
        faults: Sequence[Mapping[str, Any]] = ()
        try:
            if self.details["state"] != "closed":
                faults = (await self.session.ask("GET", f"{path}/faults"))["items"]
        except ApiError as error:
            if error.http_status not in (_NOT_FOUND, _GONE):
                raise
        self._faults = faults

    # What is on the screen.

    def put(self) -> None:
        super().put()
        width, height = self.app.size
        self._title.update(Text(cut(self._title_text(), width), "bold reverse", no_wrap=True))
        found = self.session.findings.of_connection(self.details) if self.target() is not None else ()
        self._findings.display = bool(found)
        self._findings.update(Text("\n").join(map(finding_line, found)))
        self._facts.display = self._shows_facts
        if self._shows_facts:
            most = 8 if height < 36 else 11
            lines = fact_lines(Known(self.details, self._history, self._faults), self._view, width, most)
            self._facts.update(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))
        self._idle.display = self.typing is None
        self._idle.update("send> press Enter to answer")

    _shows_facts = True

    def _title_text(self) -> str:
        one = self.details
        parts = [f"#{one['conn']} {escape_text(one['peer'])}", state_text(one), time_text(one["age"])]
        parts += [f"{bytes_text(one['received'])} in", f"{bytes_text(one['sent'])} out"]
        tls = one.get("tls")
        parts += [escape_text(str(tls["version"]))] if tls else []
        parts += [str(self.transcript.mode)]
        parts += ["follow" if self.transcript.follows else "STAY (End follows)"]
        parts += [each for each in (self.transcript.place_found, note_text(one)) if each]
        return "  ".join(parts)

    # Keys.

    def action_back(self) -> None:
        """Back to now, and from there to the list."""
        if self._view.at_s is not None:
            self._view = self._view._replace(at_s=None)
            self.put()
        else:
            self.app.pop_screen()

    def action_send(self) -> None:
        """Type what is sent."""
        if self.chosen() is not None:
            self.send_line.open_line()

    async def _send(self, data: bytes) -> None:
        self.check_run(self._run)
        self.say(await self.acts.send(self.conn, data))
        self.session.wake()

    def action_mode(self) -> None:
        """Show text, hex, or both."""
        self.transcript.turn_mode()
        self.put()

    def action_search(self) -> None:
        """Type what is searched."""

        async def submit(text: str) -> None:
            needle = parse_text(text)
            if not self.transcript.search(needle) and needle:
                raise InvalidValue("not found in what is held here")
            self.put()

        self.prompt.open("search (text, escapes as \\xff): ", submit)

    def action_found(self, step: int) -> None:
        """Go to the next place that was found, or the one before."""
        self.transcript.go_to_found(step)
        self.put()

    def action_time(self, step: int) -> None:
        """Go back in time, or on again; beyond the last row it is now."""
        span = self._history.span
        if span is None or self.typing is not None:
            return
        first, last = span
        at_s = (last if self._view.at_s is None else self._view.at_s) + step * self._view.span_s / 60
        self._view = self._view._replace(at_s=None if at_s >= last else max(first, at_s))
        self.put()

    def action_span(self) -> None:
        """Show a longer time, or the shortest again."""
        at = SPANS_S.index(int(self._view.span_s)) + 1
        self._view = self._view._replace(span_s=SPANS_S[at % len(SPANS_S)])
        self.put()

    def action_facts(self) -> None:
        """Show the kernel's facts, or leave their room to the transcript."""
        self._shows_facts = not self._shows_facts
        self.put()
