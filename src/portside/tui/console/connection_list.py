"""The first screen of the console: the connections of the server."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from portside.tui.console.acting import ActingScreen
from portside.tui.console.columns import CONNECTION_COLUMNS, CONNECTION_FIELDS, PROGRAM, Row, bytes_text
from portside.tui.console.connection_screen import ConnectionScreen
from portside.tui.console.event_screen import EventScreen
from portside.tui.console.finding_screen import FindingScreen
from portside.tui.console.list_screen import ListScreen
from portside.tui.console.machine_screen import MachineScreen
from portside.tui.console.row_table import Order
from portside.tui.console.screen import Typing
from portside.tui.console.session import ConsoleSession
from portside.units import counted

_MOST_WITH_OWNERS = 2000  # connections: with 19,000 the server needs two seconds for their programs
_STATES = ("open", "closed", "all")


class ConnectionList(ListScreen, ActingScreen):
    """The connections, those that are open or those that have closed, in an order, as far as a filter leaves them."""

    PATH = "/api/v1/connections"
    COLUMNS = CONNECTION_COLUMNS
    ORDER = Order("conn")
    KEYS = "Enter open  / filter  o which  <> sort  p pause  k reset  d findings  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open"),
        Binding("o", "states"),
        Binding("e", "events"),
        Binding("m", "machine"),
        Binding("d", "findings"),
        Binding("escape", "unselect"),
    ]

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._state = _STATES[0]

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield self.prompt.bar

    @property
    def typing(self) -> Typing | None:
        return self.entry if self.entry.is_open else self.prompt if self.prompt.is_open else None

    @staticmethod
    def key(row: Row) -> Hashable:
        conn: Hashable = row["conn"]
        return conn

    def which(self) -> Mapping[str, str | int]:
        many = max(self.table.window.total, self.session.link.info["counts"]["open"]) > _MOST_WITH_OWNERS
        with_owners = self.table.shows(PROGRAM) and not many
        return {"state": self._state, "fields": CONNECTION_FIELDS + (",owners" if with_owners else "")}

    def findings_of(self, row: Row) -> Sequence[Row]:
        return self.session.findings.of_connection(row)

    def about(self, total: int, totals: Mapping[str, Any]) -> str:
        which = "" if self._state == "all" else f"{self._state} "
        sums = [f"{bytes_text(totals.get('received'))} in", f"{bytes_text(totals.get('sent'))} out"]
        if self._state != "closed":
            queues = (("Recv-Q", "recv_q"), ("Send-Q", "send_q"))
            sums += [f"{name} {bytes_text(totals.get(key))}" for name, key in queues]
        return f"{total:,} {which}{counted(total, 'connection').partition(' ')[2]}: {', '.join(sums)}"

    def empty(self) -> str:
        return {
            "open": "nobody is connected now",
            "closed": "no connection has closed yet",
            "all": "nobody has connected yet",
        }[self._state]

    def target(self) -> Row | None:
        return self.table.selected

    def action_open(self) -> None:
        """Show everything about the connection that is selected; without a selection, about the first that is seen."""
        if self.table.selected is None and self.table.window.total:
            self.table.action_move(1)
        row = self.chosen()
        if row is not None:
            self.app.push_screen(ConnectionScreen(self.session, row))

    def action_states(self) -> None:
        """Show those that are open, those that have closed, or all."""
        self._state = _STATES[(_STATES.index(self._state) + 1) % len(_STATES)]
        self.restart()

    def action_events(self) -> None:
        """Show what happens."""
        self.app.push_screen(EventScreen(self.session))

    def action_machine(self) -> None:
        """Show the sockets of the machine."""
        self.app.push_screen(MachineScreen(self.session))

    def action_findings(self) -> None:
        """Show what is wrong."""
        self.app.push_screen(FindingScreen(self.session))

    def action_unselect(self) -> None:
        """Select none, and show no message."""
        self.table.unselect()
        self.say("")
