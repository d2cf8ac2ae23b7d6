"""Recordings made by hand: conversations as transcripts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import recording_files

from portside.events import Closed, CloseReason, Event, HalfClosed, Opened, Received, Sent

BEGAN = 1_700_000_000_000_000_000  # ns since 1970
PEER, LOCAL = "127.0.0.1:33406", "127.0.0.1:12345"

# As the text format shows it: > came from the peer, < went to it. A number is a pause in ms; "fin" is the peer's.
Line = tuple[Literal[">", "<"], bytes] | int | Literal["fin"]


def conversation(
    *lines: Line, reason: CloseReason | None = "peer_closed", conn: int = 1, began_ms: int = 0, left: int | None = None
) -> list[Event]:
    """The events of a connection. ``left``: how much of what was sent did leave, where that is not all."""
    at = BEGAN + began_ms * 1_000_000
    events: list[Event] = [Opened(at, conn, PEER, LOCAL)]
    for line in lines:
        if isinstance(line, int):
            at += line * 1_000_000
        elif line == "fin":
            events.append(HalfClosed(at, conn, PEER))
        else:
            kind = Received if line[0] == ">" else Sent
            events.append(kind(at, conn, PEER, line[1]))
    if reason is not None:
        received = sum(len(event.data) for event in events if isinstance(event, Received))
        sent = sum(len(event.data) for event in events if isinstance(event, Sent))
        events.append(Closed(at, conn, PEER, reason, received, sent if left is None else left, 0.0))
    return events


def record(path: Path, *flushes: Sequence[Event]) -> str:
    """Write a recording, each list of events in a flush of its own; its path."""
    recording_files.record(path, *flushes)
    return str(path)


def damage(path: Path, needle: bytes) -> None:
    """Damage the block of a recording that holds these bytes."""
    for segment in sorted(path.iterdir()):
        data = segment.read_bytes()
        at = data.find(needle)
        if at >= 0:
            segment.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            return
    raise AssertionError(needle)
