"""The first screen of the console of a fleet: the open connections of all its machines."""

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from portside.tui.console.columns import FLEET_COLUMNS, Row, bytes_text
from portside.tui.console.finding_screen import FindingScreen
from portside.tui.console.fleet_event_screen import FleetEventScreen
from portside.tui.console.list_screen import ListScreen
from portside.tui.console.node_screen import NodeScreen
from portside.tui.console.row_table import Order
from portside.units import counted


class FleetScreen(ListScreen):
    """The connections, with the node that each is of."""

    PATH = "/api/v1/sockets"
    COLUMNS = FLEET_COLUMNS
    ORDER = Order("sendq", reverse=True)
    KEYS = "/ filter  < > sort  r reverse  n nodes  d findings  e events  q quit  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "nodes"),
        Binding("e", "events"),
        Binding("d", "findings"),
        Binding("escape", "unselect"),
    ]

    @staticmethod
    def key(row: Row) -> Hashable:
        return row["site"], row["node"], row["inode"] or None, row["local"], row["remote"]

    def about(self, total: int, totals: Mapping[str, Any]) -> str:
        queues = f"Recv-Q {bytes_text(totals.get('recv_q'))}, Send-Q {bytes_text(totals.get('send_q'))}"
        there = self.session.link.info["counts"]["open"]
        of = f" of {there:,} that are open" if there > total and not self.filter.text else ""
        return f"fleet: {total:,} {counted(total, 'connection').partition(' ')[2]}{of}: {queues}"

    def empty(self) -> str:
        return "no node has told of a connection within the last minutes"

    def action_nodes(self) -> None:
        """Show the machines."""
        self.app.push_screen(NodeScreen(self.session))

    def action_events(self) -> None:
        """Show what happens."""
        self.app.push_screen(FleetEventScreen(self.session))

    def action_findings(self) -> None:
        """Show what is wrong."""
        self.app.push_screen(FindingScreen(self.session))

    def action_unselect(self) -> None:
        """Select none, and show no message."""
        self.table.unselect()
        self.say("")
