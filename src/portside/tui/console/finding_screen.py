"""What is wrong on the server's machine, in words: a list of findings, and below it the one that is selected."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from portside.app.documentation import read_finding_page
from portside.errors import PortsideError
from portside.tui.console.columns import Row
from portside.tui.console.finding_text import FINDING_COLUMNS, FLEET_FINDING_COLUMNS, finding_text, progress_text
from portside.tui.console.row_table import Order, RowTable
from portside.tui.console.screen import ConsoleScreen
from portside.tui.console.session import ConsoleSession
from portside.tui.pages import Page
from portside.tui.widths import cut
from portside.wire.escaping import escape_text

_WARM_UP_S = 10  # rates are those of so much time: before, that nothing was found says less


class FindingScreen(ConsoleScreen):
    """The findings, the most severe first; the first one is selected until another is."""

    KEYS = "Enter all of it  n not looked at  w watch on  Escape back  ? all keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d", "app.pop_screen"),
        Binding("enter", "explain"),
        Binding("n", "notes"),
        Binding("w", "watch"),
    ]
    DEFAULT_CSS = """
    FindingScreen .about { height: 1; }
    FindingScreen RowTable { height: 1fr; min-height: 4; }
    FindingScreen .finding { height: auto; max-height: 60%; border-top: solid ansi_bright_black; }
    """

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        columns = FLEET_FINDING_COLUMNS if session.link.is_fleet else FINDING_COLUMNS
        self.table = RowTable(columns, self.key, Order(""))
        self._about = Static("", classes="about")
        self._finding = Static("", classes="finding")

    def body(self) -> Iterable[Widget]:
        yield self._about
        yield self.table
        yield self._finding

    @staticmethod
    def key(row: Row) -> Hashable:
        """The value that tells a finding from all others."""
        return row["code"], tuple(sorted(row["subject"].items()))

    def on_mount(self) -> None:
        if self.session.findings.everywhere is None:
            self.session.findings.everywhere = True
        self.table.focus()
        super().on_mount()

    async def poll(self) -> None:
        self.session.findings.ask(shown=True)

    def put(self) -> None:
        super().put()
        findings, width = self.session.findings, self.app.size.width
        items = [{**each, "at": findings.page["at"]} for each in findings.items] if findings.page is not None else []
        self.table.empty = findings.problem or _empty(findings.page)
        self.table.show(0, {"items": items, "total": len(items)})
        if self.table.selected is None:
            self.table.action_first()
        elsewhere = "" if findings.everywhere else "  not watched from other screens"
        self._about.update(Text(cut(progress_text(findings.page) + elsewhere, width).rstrip(), no_wrap=True))
        row = self.table.selected
        self._finding.display = row is not None
        if row is not None:
            self._finding.update(finding_text(row))

    def action_explain(self) -> None:
        """Show all of a finding, and the page of its code."""
        row = self.table.selected
        if row is None:
            return
        try:
            page = read_finding_page(row["code"]).decode()
        except PortsideError as error:
            page = str(error)
        self.app.push_screen(Page(row["code"], f"{finding_text(row).plain}\n\n{page}"))

    def action_notes(self) -> None:
        """Show what cannot be looked at, and why."""
        page = self.session.findings.page or {"blind": {}, "notes": ()}
        lines = [f"{code}: {why}" for code, why in page["blind"].items()]
        lines += page["notes"]
        self.app.push_screen(Page("What cannot be looked at", "\n".join(map(escape_text, lines)) or "nothing"))

    def action_watch(self) -> None:
        """Ask from the other screens too, or no more."""
        self.session.findings.everywhere = not self.session.findings.everywhere
        self.put()


def _empty(page: Mapping[str, Any] | None) -> str:
    if page is None:
        return "the first answer is awaited …"
    is_warm = page["watched"] >= _WARM_UP_S or not page["looks"]
    more = "" if is_warm else f"; most of what can be found shows within {_WARM_UP_S}s"
    return f"nothing found{more}"
