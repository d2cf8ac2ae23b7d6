"""Events of connections of many machines as lines of text: those of ``watch --events``, with the node."""

import math
import time
from collections.abc import Iterable, Iterator

from portside.app.cell_text import UNKNOWN, owners_text
from portside.app.table_folding import cut_text, indented, text_width
from portside.fleet.query.state import NodeName, seconds_of
from portside.fleet.query.text import name_cell
from portside.fleet.schema import ConnectionEvent, ServerEvent
from portside.json_text import encode_json
from portside.kernel.models import Socket
from portside.units import format_duration

HEADER = (
    f"{'Time':<12}  {'Event':<7} {'Node':<12} {'Local Address':<21} {'Foreign Address':<21} {'State':<26} "
    f"{'Received':>10} {'Sent':>10} {'Duration':>10} {'RTT':>10}  PID/Program"
)
_NARROW_HEADER = f"{'Time':<12} {'Event':<7} {'Node':<12} {'Local Address':<21} {'Foreign Address':<21} PID/Program"
_LONGEST_S = 1e9
_MOST_TEXT = 400


def header(width: int | None) -> str:
    """The header of the lines on a terminal of this width; None: it is no terminal."""
    return _NARROW_HEADER if _is_narrow(width) else HEADER


def _is_narrow(width: int | None) -> bool:
    return width is not None and width < len(HEADER)


def clock(at: str) -> tuple[str, str]:
    """The local day and time of day of a time in ISO 8601; ``-`` where it is none."""
    seconds = seconds_of(at)
    if seconds is None:
        return "", UNKNOWN
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):
        return "", UNKNOWN
    return time.strftime("%Y-%m-%d", local), f"{time.strftime('%H:%M:%S', local)}.{int(seconds * 1000) % 1000:03d}"


def connection_lines(name: NodeName, event: ConnectionEvent, width: int | None) -> Iterator[str]:
    """An event of a connection as a line; on a terminal that is too narrow it goes on in indented lines."""
    socket = event.socket
    at = clock(event.at)[1]
    local, remote = name_cell(socket.local), _remote(socket)
    was = None if event.was is None else name_cell(event.was, 12)
    state = name_cell(socket.state, 12)
    change = f"{was} -> {state}" if was and event.event != "opened" else state
    programs = name_cell(owners_text(socket.owners or ()))
    if event.of > 1:
        programs += f"  (stands for {str(event.of)[:12]})"
    numbers = ("", "", "", "") if event.event == "opened" else _numbers(event)
    if width is not None and _is_narrow(width):
        named = zip(("received", "sent", "after", "RTT"), numbers, strict=True)
        below = (change, *(f"{what} {text}" for what, text in named if text not in ("", UNKNOWN)))
        yield from _narrow((at, event.event, name_cell(name.node)), (local, remote), programs, below, width)
        return
    received, sent, lived, rtt = numbers
    yield (
        f"{at:<12}  {event.event:<7} {name_cell(name.node):<12} {local:<21} {remote:<21} {change:<26} "
        f"{received:>10} {sent:>10} {lived:>10} {rtt:>10}  {programs}"
    ).rstrip()


def server_lines(name: NodeName, event: ServerEvent, width: int | None) -> Iterator[str]:
    """An event of a server of a machine as a line: what it is, and all that it says."""
    said = {key: value for key, value in event.event.items() if key not in ("event", "at", "seq") and value is not None}
    at = clock(str(event.event.get("at", "")))[1]
    facts = " ".join(f"{key}={_fact(value)}" for key, value in said.items())
    what = name_cell(str(event.event.get("event", UNKNOWN)), 20)
    line = f"{at:<12}  {what:<7} {name_cell(name.node):<12} server {event.pid}  {facts}"
    yield line if width is None else cut_text(line, width)


def _fact(value: object) -> str:
    if isinstance(value, str):
        return name_cell(value, _MOST_TEXT)
    return name_cell(encode_json(value).decode(), _MOST_TEXT)


def _remote(socket: Socket) -> str:
    if socket.remote is not None:
        return name_cell(socket.remote)
    return "*" if socket.listening or "remote" not in socket.gaps else "?"


def _numbers(event: ConnectionEvent) -> tuple[str, str, str, str]:
    """Bytes received and sent, each once, how long it lived, and its round trip."""
    info = event.socket.info or {}
    received, sent = _count(info.get("bytes_received")), _count(info.get("bytes_sent"))
    if received is not None and info.get("data_segs_in") == 0:
        received = 0  # the peer's FIN, which the kernel counts as a byte
    if sent is not None:
        sent = max(0, sent - (_count(info.get("bytes_retrans")) or 0))
    rtt, lived = _count(info.get("rtt_us")), event.duration
    is_known = lived is not None and math.isfinite(lived)
    return (
        UNKNOWN if received is None else str(received),
        UNKNOWN if sent is None else str(sent),
        format_duration(min(max(0.0, lived), _LONGEST_S)) if is_known and lived is not None else UNKNOWN,
        UNKNOWN if rtt is None else f"{rtt / 1000:.3f}ms",
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _narrow(
    what: tuple[str, str, str], ends: tuple[str, str], programs: str, below: Iterable[str], width: int
) -> Iterator[str]:
    begin = f"{what[0]:<12} {what[1]:<7} {what[2]:<12} {ends[0]:<21}"
    whole = f"{begin} {ends[1]:<21}"
    more = [] if programs == UNKNOWN else [programs]
    if more and text_width(whole) + 1 + text_width(programs) <= width:
        whole, more = f"{whole} {programs}", []
    if text_width(whole.rstrip()) <= width:
        yield whole.rstrip()
    else:
        first = f"{what[0]:<12} {what[1]:<7} {what[2]}"
        fits = text_width(begin.rstrip()) <= width
        yield begin.rstrip() if fits else first
        more = [*([] if fits else [ends[0]]), ends[1], *more]
    yield from indented([*more, *below], width)
