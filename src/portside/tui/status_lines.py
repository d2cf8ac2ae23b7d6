"""The lines above and below the table of the live display: counts, the filter, notes, keys."""

from rich.text import Text
from textual.geometry import Size
from textual.widgets import Static

from portside.diagnosis.findings import Finding
from portside.settings.watch import Watch
from portside.tui.cells import safe
from portside.tui.finding_marks import finding_rows
from portside.tui.poll_loop import PollLoop
from portside.tui.severity_marks import STYLES
from portside.tui.snapshot_diff import ViewState
from portside.tui.widths import cut
from portside.units import format_duration

_KEYS = "Enter details  / filter  <> sort  r reverse  space pause  k kill  ? help  q quit"
_KEYS_WHILE_TYPING = "Enter keep  Escape take back"


class StatusLines:
    """The widgets of the lines. ``message`` replies to the last key; ``error`` is why the last poll failed."""

    def __init__(self) -> None:
        self.message = ""
        self.error = ""
        self.head = Static(id="head")
        self.filter = Static(id="filter")
        self.notes = Static(id="notes")
        self.findings = Static(id="findings")
        self.foot = Static(id="foot")

    def update(self, view: ViewState, polling: PollLoop, applied: str, size: Size, *, typing: bool) -> None:
        """Write the lines for a screen of this size.

        ``applied`` is the text of the filter; ``typing`` says that another one is typed.
        """
        width = size.width
        counts = "  ".join(f"{state} {count:,}" for state, count in view.counts().items())
        total = len(view.live.keys)
        every = format_duration(polling.interval_s).replace(".000s", "s").lstrip()
        right = f"  PAUSED  {view.source}" if polling.stands_still else f"  {view.source}, every {every}"
        left = f"{total:,} socket{'s' if total != 1 else ''}  {counts}"
        _write(self.head, cut(left, max(0, width - len(right))) + right, width)
        _write(self.filter, f"filter: {safe(applied)}" if applied and not typing else "", width)
        _write(self.notes, safe(self.message or self.error or " · ".join(view.notes)), width)
        self._write_findings(view.findings.findings, size)
        _write(self.foot, _KEYS_WHILE_TYPING if typing else _KEYS, width)

    def _write_findings(self, findings: tuple[Finding, ...], size: Size) -> None:
        self.findings.display = bool(findings)
        if findings:
            lines = finding_rows(findings, size.width, size.height)
            self.findings.update(Text("\n", no_wrap=True).join(Text(line, STYLES[each]) for line, each in lines))


def no_sockets_text(settings: Watch, applied: str) -> str:
    """The text in place of the rows where there are none. ``applied`` is the text of the filter."""
    if applied:
        return f"no socket matches  {safe(applied)}"
    what = "sockets" if settings.all else "listeners" if settings.listening else "connections"
    return f"there are no {what} here now"


def _write(line: Static, text: str, width: int) -> None:
    """Write one line; a line without text is hidden."""
    line.display = bool(text)
    if text:
        line.update(Text(cut(text, width).rstrip(), no_wrap=True))
