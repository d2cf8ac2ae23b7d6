"""The keys that act on a connection, on every screen that shows one."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from portside.errors import InvalidValue
from portside.tui.console.acts import Acts, How
from portside.tui.console.columns import Row
from portside.tui.console.link import ConnName, Run
from portside.tui.console.prompt import Prompt
from portside.tui.console.screen import ConsoleScreen, Typing
from portside.tui.console.session import ConsoleSession
from portside.tui.pages import Confirm
from portside.wire.escaping import escape_text

Act = Callable[[ConnName, str], Awaitable[str]]


def named(row: Row) -> str:
    """A connection in words: its number, its peer and its note."""
    note = f"  {escape_text(row['note'])}" if row.get("note") else ""
    return f"#{row['conn']}  {escape_text(row['peer'])}{note}"


class CloseQuestion(ModalScreen[How | None]):
    """The question in which way a connection is closed; None for not at all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "answer('fin')"),
        Binding("h", "answer('half')"),
        Binding("n,escape,q,enter,c", "answer('')"),
    ]
    CSS = """
    CloseQuestion { align: center middle; background: ansi_default; }
    CloseQuestion Static { width: auto; max-width: 100%; height: auto; padding: 1 2; border: solid ansi_yellow; }
    """

    def __init__(self, row: Row) -> None:
        super().__init__()
        self._row = row

    def compose(self) -> ComposeResult:
        """The question."""
        yield Static(
            Text(
                f"Close this connection?\n\n{named(self._row)}\n\n"
                "f in order: what is buffered goes out first\n"
                "h half: we send no more, and still read\nn no"
            )
        )

    def action_answer(self, how: How | Literal[""]) -> None:
        """Go back with it."""
        self.dismiss(how or None)


class ActingScreen(ConsoleScreen):
    """A screen with a connection that is acted on: the one that ``target`` names."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause"),
        Binding("t", "throttle"),
        Binding("f", "fault"),
        Binding("n", "note"),
        Binding("c", "close"),
        Binding("k", "reset"),
    ]

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self.acts = Acts(session)
        self.prompt = Prompt(session.worker, self.put)

    def target(self) -> Row | None:
        """The connection that is acted on: its number, its peer, and why it is not read."""
        raise NotImplementedError

    @property
    def typing(self) -> Typing | None:
        return self.prompt if self.prompt.is_open else None

    def action_pause(self) -> None:
        """Read no more from the client, or read again."""
        if (row := self.chosen()) is not None:
            pause = "operator" not in (row.get("holds") or ())
            self.start(self._act(self.acts.pause(row["conn"], pause=pause)))

    def action_throttle(self) -> None:
        """Ask for a rate."""
        self._ask_for("throttle #{conn} to (10k/s, off): ", self.acts.throttle)

    def action_fault(self) -> None:
        """Ask for a fault."""
        self._ask_for("fault on #{conn} (latency 200ms, off, off N): ", self.acts.fault)

    def action_note(self) -> None:
        """Ask for a note."""
        row = self.chosen()
        self._ask_for("note on #{conn}: ", self.acts.note, (row or {}).get("note") or "")

    def action_close(self) -> None:
        """Close the connection, when the user has said how."""
        if (row := self.chosen()) is not None:
            close = self._closer(row)
            self.app.push_screen(CloseQuestion(row), lambda how: close(how) if how is not None else None)

    def action_reset(self) -> None:
        """Reset the connection, when the user says yes."""
        if (row := self.chosen()) is not None:
            question = f"Reset this connection? What is buffered is lost.\n\n{named(row)}\n\ny yes   n no"
            close = self._closer(row)
            self.app.push_screen(Confirm(question), lambda yes: close("reset") if yes else None)

    def chosen(self) -> Row | None:
        """The connection that is acted on; where there is none, a message tells how to select one."""
        row = self.target()
        if row is None:
            self.say("select a connection first, with the arrow keys")
        return row

    def _ask_for(self, prompt: str, act: Act, text: str = "") -> None:
        row, run = self.chosen(), self.session.link.run
        if row is None:
            return
        conn: ConnName = row["conn"]

        async def submit(typed: str) -> None:
            self.check_run(run)
            self.say(await act(conn, typed))
            self.session.wake()

        self.prompt.open(prompt.format(conn=conn), submit, text)

    def _closer(self, row: Row) -> Callable[[How], None]:
        run = self.session.link.run

        async def close(how: How) -> None:
            self.check_run(run)
            await self._act(self.acts.close(row["conn"], how))

        return lambda how: self.start(close(how))

    def check_run(self, run: Run) -> None:
        """Raise InvalidValue where the server was started anew: the number would be another connection's."""
        if self.session.link.run != run:
            raise InvalidValue("the server was started anew in the meantime: nothing was done")

    async def _act(self, act: Awaitable[str]) -> None:
        self.say(await act)
        self.session.wake()
