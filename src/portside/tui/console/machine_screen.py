"""The TCP sockets of the machine that the server runs on, as ``watch`` shows them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from portside.tui.console.columns import SOCKET_COLUMNS, Row, bytes_text
from portside.tui.console.list_screen import ListScreen
from portside.tui.console.row_table import Order
from portside.units import counted

_VIEWS = ("connected", "listening", "all")


class MachineScreen(ListScreen):
    """The sockets: those that are connected, the listeners, or all."""

    PATH = "/api/v1/sockets"
    COLUMNS = SOCKET_COLUMNS
    ORDER = Order("local")
    KEYS = "Escape back  / filter  o which  < > sort  r reverse  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "views"),
        Binding("escape,q,m", "app.pop_screen"),
    ]
    _view: str | None = None

    @staticmethod
    def key(row: Row) -> Hashable:
        return row["inode"] or None, row["local"], row["remote"]

    def which(self) -> Mapping[str, str | int]:
        return {"view": self._view} if self._view is not None else {}

    def findings_of(self, row: Row) -> Sequence[Row]:
        return self.session.findings.of_socket(row["inode"])

    def about(self, total: int, totals: Mapping[str, Any]) -> str:
        which = "" if self._view in (None, "all") else f"{self._view} "
        queues = f"Recv-Q {bytes_text(totals.get('recv_q'))}, Send-Q {bytes_text(totals.get('send_q'))}"
        return f"machine: {total:,} {which}{counted(total, 'socket').partition(' ')[2]}: {queues}"

    def empty(self) -> str:
        return "there are none now"

    def action_views(self) -> None:
        """Show those that are connected, the listeners, or all."""
        at = _VIEWS.index(self._view) if self._view is not None else 0
        self._view = _VIEWS[(at + 1) % len(_VIEWS)]
        self.restart()
