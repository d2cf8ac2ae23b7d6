"""A recording written for other programs: for Wireshark, and as the events of ``docs/events.md``.

Both formats are streamed: only the current flush and a little state for each open connection are in memory.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

from portside.events import (
    Closed,
    ClosedBy,
    CloseReason,
    Event,
    Gap,
    Opened,
    Payload,
    json_prefix,
    payload_to_json,
    to_json,
)
from portside.record.connection_record import ConnectionRecord
from portside.record.export_file import ExportFile
from portside.record.recording import Recording, TimedEvent, steady_events
from portside.record.recovery import Progress, no_progress
from portside.wire.pcapng import file_header, packet_frame
from portside.wire.tcp_synthesizer import Packet, TcpSynthesizer

_LARGE_BYTES = 4096  # of a packet's payload, from which on it is not copied
_INTERFACE = "connections recorded by Portside: the bytes and their times are real, the packets are made around them"


class ExportSummary(NamedTuple):
    """Counts of an export: connections, packets (or events) written, and places where the recording has a gap."""

    connections: int
    written: int
    gaps: int


def export_pcapng(
    recording: Recording,
    file: ExportFile,
    conn: int | None = None,
    progress: Progress = no_progress,
    *,
    version: str,
) -> ExportSummary:
    """Write one connection, or all, as TCP conversations in the pcapng format.

    ``progress`` is called with bytes done and in all; ``version`` is Portside's, for the header of the file.

    The times are steady ones (see ``clock``): what lies between packets is right although the wall clock was set.
    Bytes that were sent to the kernel but had not left when the connection closed are omitted. Raises
    PortsideError where there is no such connection, and OSError where the file cannot be written.
    """
    begun = packets = gaps = 0
    conversations: dict[int, TcpSynthesizer] = {}
    events = steady_events(_events(recording, conn, progress))
    file.write(file_header(f"Portside {version}", _INTERFACE))
    for event in events:
        number = cast("int", getattr(event, "conn", 0))
        if type(event) is Gap:
            gaps += 1
        if not number:
            continue
        conversation = conversations.get(number)
        if conversation is None:
            conversation = conversations[number] = _conversation(recording, number, event)
            begun += 1
        made = conversation.packets(event)
        file.writelines(_framed(made))
        packets += len(made)
        if type(event) is Closed:
            del conversations[number]
            if conn is not None:
                break
    for number, conversation in conversations.items():
        end = _unrecorded_end(recording, number)
        if end is not None:
            made = conversation.packets(end)
            file.writelines(_framed(made))
            packets += len(made)
    return ExportSummary(begun, packets, gaps)


def export_jsonl(
    recording: Recording, file: ExportFile, conn: int | None = None, progress: Progress = no_progress
) -> ExportSummary:
    """Write the events of one connection, or all events, a JSON object a line. Otherwise as ``export_pcapng``."""
    begun = events = gaps = 0
    whose_of: dict[int, bytes] = {}  # what is the same in all payload of an open connection; empty before any
    write = file.write
    for _, event in _events(recording, conn, progress):
        events += 1
        number = cast("int", getattr(event, "conn", 0))
        if number and number not in whose_of:
            begun += 1
            whose_of[number] = b""
        if isinstance(event, Payload):
            same = whose_of[number] = whose_of[number] or json_prefix(event)
            write(payload_to_json(event, same) + b"\n")
            continue
        write(to_json(event) + b"\n")
        if type(event) is Gap:
            gaps += 1
        elif type(event) is Closed:
            del whose_of[number]
    return ExportSummary(begun, events, gaps)


def _framed(packets: list[Packet]) -> list[bytes | memoryview]:
    """Packets as the blocks of a pcapng file: large payloads as they are, joined by what stands between them."""
    buffers: list[bytes | memoryview] = []
    between = b""
    for at, headers, payload, comment in packets:
        head, tail = packet_frame(at, len(headers) + len(payload), comment)
        if len(payload) < _LARGE_BYTES:
            between += b"".join((head, headers, payload, tail))
        else:
            buffers += between + head + headers, payload
            between = tail
    buffers.append(between)
    return buffers


def _conversation(recording: Recording, conn: int, first: Event) -> TcpSynthesizer:
    recorded = recording.connection(conn)
    left = recorded.sent if recorded.closed is not None else None
    if isinstance(first, Opened):
        peer, local = first.peer, first.local
    else:
        peer, local = recorded.peer or "", recorded.local or ""
    return TcpSynthesizer(conn, peer, local, left=left, outbound=recording.is_outbound(conn))


def _unrecorded_end(recording: Recording, conn: int) -> Closed | None:
    """The Closed event, at its steady time, that the index has and the segments have lost; None where there is none."""
    recorded = recording.connection(conn)
    if recorded.closed is None or recording.live:  # it may have been closed since
        return None
    at = recorded.closed if recorded.began is None else recorded.began + round((recorded.duration or 0.0) * 1e9)
    return Closed(
        at,
        conn,
        recorded.peer or "",
        cast("CloseReason", recorded.reason),
        recorded.received,
        recorded.sent,
        recorded.duration or 0.0,
        recorded.error,
        cast("ClosedBy | None", recorded.by),
    )


def _events(recording: Recording, conn: int | None, progress: Progress) -> Iterator[TimedEvent]:
    """The events to be written. Raises PortsideError at once where there is no such connection."""
    if conn is None:
        return recording.all_timed_events(progress)
    return _events_of(recording, recording.connection(conn), progress)


def _events_of(recording: Recording, recorded: ConnectionRecord, progress: Progress) -> Iterator[TimedEvent]:
    whole, done = recorded.received + recorded.sent, 0
    for at, event in recording.timed_events(recorded.conn):
        yield at, event
        if isinstance(event, Payload):
            done += len(event.data)
            progress(done, max(done, whole))
