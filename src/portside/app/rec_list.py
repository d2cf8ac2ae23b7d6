"""``portside rec list``: the connections of a recording as a table or as JSON."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from itertools import islice

from portside.app.rec_notices import Progress, notice_damage, open_recording
from portside.app.stdout import write_lines, write_stdout
from portside.events import utc
from portside.json_text import encode_json
from portside.record.connection_record import ConnectionRecord
from portside.record.search import ConnectionQuery, search
from portside.settings.rec import RecList
from portside.units import format_duration

_BATCH = 4096
_HEADER = ("Conn", "Opened", "Peer", "Local", "Duration", "Received", "Sent", "Closed")
_TEMPLATE = "%5s  %-23s  %-21s  %-21s  %10s  %11s  %11s  %s"


def run(settings: RecList, path: str, query: ConnectionQuery, progress: Progress) -> int:
    """List the connections that match; the exit status. ``progress`` is shown while it is entered."""
    with ExitStack() as stack:
        with progress as on_progress:
            recording = stack.enter_context(open_recording(path, on_progress))
            found = search(recording, query, on_progress)
            if query.contains is not None:
                found = iter(list(found))
        notice_damage(recording)
        if settings.json:
            write_stdout(_json(found))
        else:
            write_lines(_table(found))
    return 0


def _json(found: Iterator[ConnectionRecord]) -> Iterator[bytes]:
    while batch := list(islice(found, _BATCH)):
        yield b"\n".join([*(encode_json(to_fields(each)) for each in batch), b""])


def to_fields(each: ConnectionRecord) -> dict[str, object]:
    """A connection as the fields of its JSON; what is unknown is None."""
    fields: dict[str, object] = {
        "conn": each.conn,
        "peer": each.peer,
        "local": each.local,
        "opened": None if each.opened is None else utc(each.opened),
        "closed": None if each.closed is None else utc(each.closed),
        "reason": each.reason,
        "by": each.by,
        "received": each.received,
        "sent": each.sent,
        "duration": each.duration,
        "open": each.open,
    }
    if each.error is not None:
        fields["error"] = each.error
    if each.dropped is not None:
        fields["dropped"] = utc(each.dropped)
    return fields


def _table(found: Iterable[ConnectionRecord]) -> Iterator[str]:
    yield _TEMPLATE % _HEADER
    for each in found:
        yield _TEMPLATE % _row(each)


def _row(each: ConnectionRecord) -> tuple[object, ...]:
    return (
        each.conn,
        "-" if each.opened is None else _local_time(each.opened),
        "-" if each.peer is None else each.peer,
        "-" if each.local is None else each.local,
        "-" if each.duration is None else format_duration(each.duration),
        each.received,
        each.sent,
        _ending(each),
    )


def _ending(each: ConnectionRecord) -> str:
    words = each.reason or ("open" if each.open else "unknown: the recording ends before it")
    if each.by is not None:
        words += f" by {each.by}"
    if each.error is not None:
        words += f": {each.error}"
    return words if each.dropped is None else f"{words} (its bytes were given up)"


def _local_time(at: int) -> str:
    """Nanoseconds since 1970 as ``2026-11-22 12:00:01.123``, local time."""
    second, nanoseconds = divmod(at, 1_000_000_000)
    return f"{_local_second(second)}.{nanoseconds // 1_000_000:03d}"


@lru_cache(maxsize=8)
def _local_second(second: int) -> str:
    """A second as local time, cached: neighbours share it, and strftime costs more than the rest of a row."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
