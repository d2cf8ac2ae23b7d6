"""The machines of a fleet: whether their agents are alive, what runs there, and how far what they send is behind."""

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from portside.tui.console.columns import NODE_COLUMNS, Row
from portside.tui.console.list_screen import ListScreen
from portside.tui.console.row_table import Order
from portside.units import counted


class NodeScreen(ListScreen):
    """The nodes: those that are gone first."""

    PATH = "/api/v1/nodes"
    COLUMNS = NODE_COLUMNS
    ORDER = Order("life")
    KEYS = "Escape back  / filter: node site life lag load  < > sort  r reverse  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,n", "app.pop_screen")]

    @staticmethod
    def key(row: Row) -> Hashable:
        return row["site"], row["node"]

    def about(self, total: int, _: Mapping[str, Any]) -> str:
        lives = ", ".join(f"{count:,} {life}" for life, count in self.session.link.info["nodes"].items() if count)
        return f"{counted(total, 'node')}: {lives}" if lives and not self.filter.text else counted(total, "node")

    def empty(self) -> str:
        return "no agent has given a sign of life yet"
