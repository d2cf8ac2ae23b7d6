"""The observer of ``connect``: what it counts is what it has told."""

import socket
from pathlib import Path

import pytest

from portside.app.event_observer import EventObserver
from portside.cli.parser import parse
from portside.client.dial import ClientConnection
from portside.record.recording import Recording
from portside.settings.connect import Connect


def test_bytes_that_come_after_a_signal_are_neither_recorded_nor_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "recording")
    settings = parse(Connect, "connect", ["127.0.0.1:1", "--format", "text", "--record", path])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        observer = EventObserver(settings, ClientConnection(ours, "127.0.0.1:1", "127.0.0.1:2"))
        observer.opened()
        observer.received(b"told\n")
        observer.end_now(1.0)
        observer.received(b"late\n")
    assert capfd.readouterr().out.endswith("5 B in, 0 B out\n")
    with Recording(path) as recording:
        (found,) = recording.connections()
        assert b"".join(recording.data(1, "in")) == b"told\n"  # type: ignore[arg-type]
    assert (found.received, found.reason) == (5, "shutdown")
