"""The cells of the live display: the width that a column requests, and text made safe to show and cut to its width."""

from rich.cells import cell_len

from portside.app.watch_columns import Column, LiveWidth
from portside.kernel.models import Socket
from portside.tui.widths import WidthRequest, cut, cut_middle
from portside.wire.escaping import escape_text

GONE = "gone"
"""What stands for the state of a socket that is gone."""

# Where netstat's name of the state is too long, the name that ss uses.
_SHORT_STATES = {"ESTABLISHED": "ESTAB"}


def live_width(column: Column) -> LiveWidth:
    """The width of a column of the live display. Raises ValueError for a column that the display does not have."""
    if column.live_width is None:
        raise ValueError(f"the live display has no column {column.name!r}")
    return column.live_width


def request_width(column: Column, texts: list[str], before: int = 0, *, sorted_by: bool = False) -> WidthRequest:
    """The width that a column needs to show texts, and an arrow at its heading; ``before`` is its width until now."""
    width = live_width(column)
    heading = len(column.heading) + sorted_by
    preferred = min(max(heading, before, *map(cell_len, texts)), max(width.maximum, heading))
    return WidthRequest(width.minimum, max(width.minimum, preferred), width.drop, width.grow)


def cell_text(column: Column, text: str, width: int) -> str:
    """A text of exactly ``width`` cells of the terminal."""
    column_width = live_width(column)
    if len(text) > width:
        text = _SHORT_STATES.get(text, text)
    return cut_middle(text, width) if column_width.cut_middle else cut(text, width, right=column_width.right_aligned)


def safe(text: str) -> str:
    """Escape text from a process or the system, so that a terminal does not act on it."""
    return escape_text(text)


def remote_text(socket: Socket) -> str:
    """The remote end of a socket; for a listener any, as netstat writes it."""
    if socket.remote is None:
        return "0.0.0.0:*" if socket.family == 4 else "[::]:*"
    return safe(socket.remote)
