"""The two lines at the top of each screen: the server, and how it is doing."""

import time
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.widgets import Static

from portside.app.cell_text import seconds_text, size_text
from portside.tui.console.session import ConsoleSession
from portside.tui.console.sparkline import sparkline
from portside.tui.severity_marks import STYLES
from portside.tui.widths import cut
from portside.units import counted
from portside.wire.escaping import escape_text

_MOST_CELLS = 60


def _whose(info: Mapping[str, Any]) -> str:
    """The process of the server and its machine; how many servers or nodes there are, where they are shown as one."""
    if "nodes" in info:
        alive, *others = [f"{count:,} {life}" for life, count in info["nodes"].items() if count or life == "alive"]
        more = f": {', '.join((alive, *others))}" if others else ""
        return f"{counted(sum(info['nodes'].values()), 'node')}{more}"
    if "servers" not in info:
        return f"pid {info['pid']} on {info['node']}"
    stuck = f" ({len(info['silent'])} more without an answer)" if info["silent"] else ""
    return f"{counted(len(info['servers']), 'server')}{stuck} on {info['node']}"


class Header(Static):
    """Addresses, process and uptime; below them rates, each over the last minute. Says when the server has gone."""

    DEFAULT_CSS = "Header { height: 2; }"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__()
        self._session = session

    def put(self, width: int) -> None:
        """Show how the server is, in lines of so many cells."""
        self.update(Text("\n", no_wrap=True, overflow="ellipsis").join((self._who(width), self._rates(width))))

    def _who(self, width: int) -> Text:
        info, link = self._session.link.info, self._session.link
        first, *more = [each["address"] for each in info["listeners"]] or ["no port"]
        where = f"{first} +{len(more)}" if more and len(first) < width // 3 else first
        left = escape_text(f"{where}  {_whose(info)}")
        if link.problem is not None:
            gone = f"  GONE for {seconds_text(time.monotonic() - link.lost_at)}: "
            problem = cut(gone + escape_text(link.problem), max(0, width - len(left))).rstrip()
            return Text.assemble((left, "bold"), (problem, "bold red"), no_wrap=True, overflow="ellipsis")
        refused = sum(info["counts"]["refused"].values())
        found = self._found()
        right = "" if link.is_fleet else f"up {seconds_text(info['uptime'])}  "
        right += f"{info['counts']['open']:,} open"
        right += f"  {refused:,} refused" if refused else ""
        right += "  READ ONLY" if info.get("read_only") and not link.is_fleet else ""
        shown = Text(cut(left, max(0, width - len(right) - len(found) - 2)) + "  " + right, "bold", no_wrap=True)
        return shown.append_text(found)

    def _found(self) -> Text:
        """How many findings are critical, and how many warnings."""
        shown, findings = Text(), self._session.findings
        if critical := findings.count("critical"):
            shown.append(f"  {critical} critical", STYLES["critical"])
        if warnings := findings.count("warning"):
            shown.append(f"  {counted(warnings, 'warning')}", STYLES["warning"])
        return shown

    def _rates(self, width: int) -> Text:
        now, rates = self._session.rates.now, self._session.rates
        shown = Text(no_wrap=True)
        cells = max(5, min(_MOST_CELLS, (width - 2) // 3 - 13))
        for label, name, colour in (("in", "received", "cyan"), ("out", "sent", "green"), ("new", "opened", "magenta")):
            value = getattr(now, name) if now is not None else None
            text = "-" if value is None else f"{value:.0f}" if name == "opened" else size_text(round(value))
            shown.append(f"{' ' if shown else ''}{label:<3}{text + '/s':>8} ")
            shown.append(sparkline(rates.values(name, cells)), colour)
        return shown
