"""The events of ``watch --events`` as lines: aligned text for people, JSON for programs; formatted in batches."""

import math
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec
import numpy as np

from portside.app.column_text import WatchedSockets, owner_lists
from portside.app.table_folding import indented, text_width
from portside.kernel import states
from portside.kernel.address_text import endpoints, remotes
from portside.kernel.connection_tracker import FORGOTTEN, UNKNOWN, EventBatch, forgotten
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket, to_json
from portside.kernel.table import SocketTable
from portside.units import format_duration

HEADER = (
    f"{'Time':<12}  {'Event':<7} {'Local Address':<21} {'Foreign Address':<21} {'State':<26} "
    f"{'Received':>10} {'Sent':>10} {'Duration':>10} {'RTT':>10}  PID/Program\n"
).encode()

_NARROW_HEADER = f"{'Time':<12} {'Event':<7} {'Local Address':<21} {'Foreign Address':<21} PID/Program\n".encode()

_NARROW_NUMBERS = ("received", "sent", "after", "RTT")

_S = 1_000_000_000
_UNKNOWN = "-"


def header(width: int | None) -> bytes:
    """The header of the lines on a terminal of this width; None: it is no terminal."""
    return _NARROW_HEADER if _is_narrow(width) else HEADER


def _is_narrow(width: int | None) -> bool:
    return width is not None and width < len(HEADER) - 1


def text_lines(batch: EventBatch, *, owners: bool = True, width: int | None = None) -> bytes:
    """Write a line for each event of a batch; ``-`` stands for what is not known.

    ``width`` is that of the terminal, None where it is none. On one that is too narrow for the columns, an event goes
    on in indented lines, and what is not known is left out.
    """
    table = batch.table
    wiped = forgotten(table)
    local = endpoints(table.base, "local", table.interfaces, bound=True)
    remote = [end or "*" for end in remotes(table.base, table.interfaces)]
    for index in np.flatnonzero(wiped).tolist():
        listener = batch.was[index] == states.LISTEN
        remote[index] = "*" if listener else f"{remote[index].removesuffix(':0')}:?"
    programs = owner_lists(WatchedSockets(table)) if owners else [""] * len(table)
    state = [states.name_of(number) for number in table.base["state"].tolist()]
    was = [states.name_of(number) if number != UNKNOWN else "" for number in batch.was.tolist()]
    received, sent, rtt = _received(table), _sent(table), _round_trips(table)
    durations = [_UNKNOWN if math.isnan(each) else format_duration(each) for each in batch.duration_s.tolist()]
    at = _clock(batch.at_ns // 1_000_000)
    lines: list[str] = []
    narrow = _is_narrow(width)
    kind = "closed" if batch.kind == "short" else batch.kind
    for index in range(len(table)):
        change = f"{was[index]} -> {state[index]}" if was[index] else state[index]
        opened = _clock(opened_ns(batch, index) // 1_000_000) if batch.kind == "short" else None
        if narrow and width is not None:
            ends = local[index], remote[index]
            if opened is not None:
                lines += _narrow_lines((opened, "opened"), ends, (), width)
            numbers = zip(_NARROW_NUMBERS, (received[index], sent[index], durations[index], rtt[index]), strict=True)
            known = (f"{name} {text}" for name, text in numbers if text != _UNKNOWN)
            below = (change,) if kind == "opened" else (change, *known)
            lines += _narrow_lines((at, kind), ends, below, width, programs[index])
            continue
        aligned = f"{local[index]:<21} {remote[index]:<21}"
        if opened is not None:
            lines.append(f"{opened}  opened  {aligned}".rstrip() + "\n")
        if kind == "opened":
            line = f"{at}  opened  {aligned} {change:<26} {'':>43}  {programs[index]}"
        else:
            line = (
                f"{at}  {kind:<7} {aligned} {change:<26} {received[index]:>10} {sent[index]:>10} "
                f"{durations[index]:>10} {rtt[index]:>10}  {programs[index]}"
            )
        lines.append(line.rstrip() + "\n")
    return "".join(lines).encode()


def _narrow_lines(
    what: tuple[str, str], ends: tuple[str, str], below: Iterable[str], width: int, programs: str = _UNKNOWN
) -> Iterator[str]:
    """One event in lines of a terminal's width: when and what, between whom and by whom, and below that the rest."""
    begin = f"{what[0]} {what[1]:<7} {ends[0]:<21}"
    whole = f"{begin} {ends[1]:<21}"
    more = [programs] if programs not in ("", _UNKNOWN) else []
    if more and text_width(whole) + 1 + text_width(programs) <= width:
        whole, more = f"{whole} {programs}", []
    fits = text_width(whole.rstrip()) <= width
    yield (whole if fits else begin).rstrip() + "\n"
    yield from (line + "\n" for line in indented([*([] if fits else [ends[1]]), *more, *below], width))


def json_lines(batch: EventBatch) -> bytes:
    """Write a JSON object a line for each event of a batch.

    ``changed`` has the state before, ``closed`` that and the duration in seconds.
    """
    kind = "closed" if batch.kind == "short" else batch.kind
    at = _stamp(batch.at_ns)
    seen = batch.detected_by
    head = f'{{"event":"{kind}","at":"{at}","seen":"{seen}","socket":'.encode()
    lines: list[bytes] = []
    was = batch.was.tolist()
    durations = batch.duration_s.tolist()
    for index, socket in enumerate(sockets_of(batch)):
        value = to_json(socket)
        if batch.kind == "short":
            opened = _stamp(opened_ns(batch, index))
            lines.append(f'{{"event":"opened","at":"{opened}","seen":"{seen}","socket":'.encode() + value + b"}\n")
        more = ""
        if kind != "opened":
            more = f',"was":"{states.name_of(was[index])}"' if was[index] != UNKNOWN else ',"was":null'
        if kind == "closed":
            lived = durations[index]
            more += ',"duration":null' if math.isnan(lived) else f',"duration":{round(lived, 6)}'
        lines.append(head + value + more.encode() + b"}\n")
    return b"".join(lines)


def sockets_of(batch: EventBatch) -> Iterator[Socket]:
    """The sockets as values. What the kernel has forgotten of a remote end is unknown, not 0; a listener has none."""
    table = batch.table
    for socket, wiped, was in zip(to_sockets(table), forgotten(table).tolist(), batch.was.tolist(), strict=True):
        if not wiped:
            yield socket
            continue
        if was == states.LISTEN:
            yield msgspec.structs.replace(socket, remote=None)
            continue
        address = (socket.remote or "").removesuffix(":0")
        gaps = {**socket.gaps, "remote": f"the port of {address}: {FORGOTTEN}"}
        yield msgspec.structs.replace(socket, remote=None, gaps=gaps)


def opened_ns(batch: EventBatch, index: int) -> int:
    """When the connection of a row was opened; as late as the event itself where that is not known."""
    lived = float(batch.duration_s[index])
    return batch.at_ns if math.isnan(lived) else batch.at_ns - round(lived * _S)


def _received(table: SocketTable) -> list[str]:
    """Bytes received, the peer's FIN included, which the kernel counts as one; but not where that was all."""
    received, segments = table.column("bytes_received"), table.column("data_segs_in")
    values = np.where(segments.known & (segments.values == 0), 0, received.values).tolist()
    return [str(value) if here else _UNKNOWN for value, here in zip(values, received.known.tolist(), strict=True)]


def _sent(table: SocketTable) -> list[str]:
    """Bytes sent, each once."""
    sent, again = table.column("bytes_sent"), table.column("bytes_retrans")
    once = (sent.values - np.where(again.known, again.values, 0).astype("u8")).tolist()
    return [str(value) if here else _UNKNOWN for value, here in zip(once, sent.known.tolist(), strict=True)]


def _round_trips(table: SocketTable) -> list[str]:
    column = table.column("rtt_us")
    known = column.known.tolist()
    return [
        f"{value / 1000:.3f}ms" if here else _UNKNOWN for value, here in zip(column.values.tolist(), known, strict=True)
    ]


@lru_cache(64)
def _of_day(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def _clock(milliseconds: int) -> str:
    """The local time of day."""
    second, fraction = divmod(milliseconds, 1000)
    return f"{_of_day(second)}.{fraction:03d}"


@lru_cache(64)
def _date(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _stamp(at_ns: int) -> str:
    """The time as in every event: UTC with microseconds."""
    second, fraction = divmod(at_ns, _S)
    return f"{_date(second)}.{fraction // 1000:06d}Z"
