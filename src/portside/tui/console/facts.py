"""What the kernel knows of a connection as lines: now or at an earlier time, each number over the time before it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from portside.app.cell_text import UNKNOWN, seconds_text
from portside.tui.console.columns import bytes_text, number_text, rtt_text
from portside.tui.console.history import FactHistory
from portside.tui.console.sparkline import sparkline
from portside.tui.widths import cut
from portside.wire.escaping import escape_text

_LABEL, _VALUE, _GAP = 9, 9, 2
_TWO_A_LINE = 60


class Plot(NamedTuple):
    """A number: the column of the history, how it is written, whether it is a rate of a column that counts."""

    label: str
    column: str
    text: Callable[[Any], str]
    is_rate: bool = False
    colour: str = "cyan"


PLOTS = (
    Plot("Recv-Q", "recv_q", bytes_text, colour="red"),
    Plot("Send-Q", "send_q", bytes_text, colour="red"),
    Plot("in/s", "received", bytes_text, is_rate=True),
    Plot("out/s", "sent", bytes_text, is_rate=True, colour="green"),
    Plot("rtt", "rtt_us", rtt_text, colour="yellow"),
    Plot("retrans", "retrans", number_text, colour="yellow"),
    Plot("their win", "snd_wnd", bytes_text, colour="blue"),
    Plot("our win", "rcv_wnd", bytes_text, colour="blue"),
    Plot("buffered", "buffered", bytes_text, colour="magenta"),
    Plot("cwnd", "cwnd", number_text, colour="blue"),
)


class FactView(NamedTuple):
    """Which time is shown: ``at_s`` (None: now), and the span before it, in seconds."""

    at_s: float | None
    span_s: float


class Known(NamedTuple):
    """The known facts of a connection: the details, history and faults of the API."""

    details: Mapping[str, Any]
    history: FactHistory
    faults: Sequence[Mapping[str, Any]]


def fact_lines(known: Known, view: FactView, width: int, most: int) -> list[Text]:
    """Everything about a connection but what was said on it, in at most ``most`` lines of ``width`` cells."""
    details, history, faults = known
    lines = [_title(details, history, view, width)]
    lines += _byte_lines(details, history, view, width)
    last = [_fault_line(fault, width) for fault in faults] or [_owner_line(details, width)]
    plots = max(1, most - len(lines) - min(len(last), 2))
    lines += _plot_lines(history, view, width, plots)
    return [*lines, *last][:most]


def _title(details: Mapping[str, Any], history: FactHistory, view: FactView, width: int) -> Text:
    kernel = details.get("kernel") or {}
    span = f"{view.span_s / 60:.0f}m"
    if view.at_s is None:
        state = kernel.get("state") or "not in the kernel's table"
        words = f" kernel: {state}  now, {span} before  ← earlier  z span  v hide"
    else:
        row = history.before(view.at_s)
        state = row.values.get("state") if row is not None else UNKNOWN
        newest = history.span[1] if history.span is not None else view.at_s
        clock = time.strftime("%H:%M:%S", time.gmtime(view.at_s))
        words = f" kernel: {state}  at {clock} UTC, {seconds_text(newest - view.at_s)} ago, {span} before"
        words += "  ← → z  Escape now"
    style = "reverse" if view.at_s is None else "reverse yellow"
    return Text(cut(escape_text(words), width), style, no_wrap=True)


def _byte_lines(details: Mapping[str, Any], history: FactHistory, view: FactView, width: int) -> list[Text]:
    counts = details.get("bytes")
    if view.at_s is not None:
        counts = _counts_at(history, view.at_s)
    if counts is None:
        why = (details.get("gaps") or {}).get("bytes") or "not known"
        return [Text(cut(f"bytes: {escape_text(why)}", width), no_wrap=True)]
    into, out = counts["in"], counts["out"]
    return [
        _chain(
            "in ", (("arrived", into["received_by_kernel"]), ("Recv-Q", into["recv_q"]), ("read", into["read"])), width
        ),
        _chain(
            "out",
            (
                ("written", out["written"]),
                ("buffered", out["buffered"]),
                ("unsent", out["unsent"]),
                ("unacked", out["unacked"]),
                ("acked", out["acked"]),
            ),
            width,
        ),
    ]


def _counts_at(history: FactHistory, at_s: float) -> dict[str, dict[str, Any]] | None:
    """Where the bytes were at a time, as far as the history tells."""
    row = history.before(at_s)
    if row is None:
        return None
    of = row.values.get
    queued, unsent = of("send_q"), of("notsent")
    return {
        "in": {"received_by_kernel": of("bytes_received"), "recv_q": of("recv_q"), "read": of("received")},
        "out": {
            "written": of("sent"),
            "buffered": of("buffered"),
            "unsent": unsent,
            "unacked": None if queued is None or unsent is None else max(0, queued - unsent),
            "acked": of("bytes_acked"),
        },
    }


def _chain(label: str, places: Sequence[tuple[str, int | None]], width: int) -> Text:
    """Where bytes are: the whole, and its parts; those that wait are marked."""
    (whole, total), *parts = places
    shown = Text(f"{label} ", "bold", no_wrap=True)
    shown.append(f"{bytes_text(total)} {whole} = ", "not bold")
    for number, (name, value) in enumerate(parts):
        waits = bool(value) and name not in ("read", "acked")
        shown.append(f"{' + ' if number else ''}", "not bold")
        shown.append(f"{bytes_text(value)} {name}", "bold red" if waits else "not bold")
    shown.truncate(width)
    return shown


def _plot_lines(history: FactHistory, view: FactView, width: int, most: int) -> list[Text]:
    """The plots, two a line where there is room."""
    if width < _TWO_A_LINE:
        return [_plot(plot, history, view, max(4, width - _LABEL - _VALUE - 1)) for plot in PLOTS[:most]]
    half = (width - _GAP) // 2
    cells = max(4, half - _LABEL - _VALUE - 1)
    texts = [_plot(plot, history, view, cells) for plot in PLOTS[: 2 * most]]
    lines = []
    for left, right in zip(texts[::2], texts[1::2], strict=True):
        line = Text(no_wrap=True)
        left.set_length(half)
        line.append_text(left)
        line.append(" " * _GAP)
        line.append_text(right)
        lines.append(line)
    return lines


def _plot(plot: Plot, history: FactHistory, view: FactView, cells: int) -> Text:
    span = history.span
    if span is None:
        return Text(f"{plot.label:<{_LABEL}}{UNKNOWN:>{_VALUE}}", no_wrap=True)
    end_s = span[1] if view.at_s is None else view.at_s
    if plot.is_rate:
        values = history.rates(plot.column, end_s, view.span_s, cells)
        value = history.rate_at(plot.column, end_s)
    else:
        values = history.largest(plot.column, end_s, view.span_s, cells)
        row = history.before(end_s)
        value = row.values.get(plot.column) if row is not None else None
    shown = Text(f"{plot.label:<{_LABEL}}{plot.text(value):>{_VALUE}} ", no_wrap=True)
    shown.append(sparkline(values), plot.colour)
    return shown


def _fault_line(fault: Mapping[str, Any], width: int) -> Text:
    held = f", holds {bytes_text(fault['held'])}" if fault["held"] else ""
    by = f" ({fault['by']})" if fault["by"] else " (--fault)"
    words = f"fault {fault['id']}: {fault['spec']}, {fault['phase']}{held}{by}"
    return Text(cut(escape_text(words), width), "magenta", no_wrap=True)


def _owner_line(details: Mapping[str, Any], width: int) -> Text:
    """The holders of the other end, where that is known."""
    owners = details.get("owners")
    if owners:
        each = owners[0]
        words = f"other end: {each['pid']}/{each['program']}  {each.get('command') or ''}"
    else:
        why = (details.get("gaps") or {}).get("owners") or (details.get("gaps") or {}).get("peer_socket")
        words = f"other end: {why}" if why else ""
    return Text(cut(escape_text(words), width), "dim", no_wrap=True)
