"""What a recording has of a run that drops what comes, and of one that a signal ends."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Start
from recording_files import bytes_of
from support import DEADLINE_S, connect, wait_until

from portside.record.check import check
from portside.record.recording import Recording


def test_a_server_that_only_sends_records_what_it_drops(listen: Start, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    server = listen("--send-only", "--format", "json", "-o", str(tmp_path / "log"), "--record", str(path))
    with connect(server.port) as client:
        client.sendall(b"dropped, and kept\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    server.wait_for('"closed"')
    assert server.stop() == 0
    assert b'"received",' not in server.out
    assert "dropped" not in (tmp_path / "log").read_text()
    with Recording(os.fspath(path)) as recording:
        assert bytes_of(recording, 1, "in") == b"dropped, and kept\n"
    assert check(os.fspath(path)).whole


def test_a_client_that_only_sends_records_what_it_drops(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ("--send-only", "--format", "json", "--record", str(path))
        program = start("connect", f"127.0.0.1:{listener.getsockname()[1]}", *words, stdin=subprocess.PIPE)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"welcome\n")
            wait_until(lambda: has(path, b"welcome\n"), "what came to be kept")
            assert program.process.stdin
            program.process.stdin.close()
            assert program.wait() == 0
    assert b'"received",' not in program.out
    assert check(os.fspath(path)).whole


def has(path: Path, data: bytes) -> bool:
    """Whether the first connection of a recording, if there is one yet, has sent us this."""
    with suppress(Exception), Recording(os.fspath(path)) as recording:
        return bytes_of(recording, 1, "in") == data
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("form", ["raw", "text"])
def test_a_client_that_a_signal_ends_has_recorded_all_that_it_showed(
    start: Start, tmp_path: Path, number: signal.Signals, form: str
) -> None:
    path = tmp_path / "recording"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ("--recv-only", "--format", form, "--record", str(path))
        program = start("connect", f"127.0.0.1:{listener.getsockname()[1]}", *words)
        peer, _ = listener.accept()
        with peer:

            def talk() -> None:
                with suppress(OSError):
                    while True:
                        peer.sendall(b"x" * 99 + b"\n")
                        threading.Event().wait(0.001)  # a peer that goes on talking is what is tested

            talker = threading.Thread(target=talk, daemon=True)
            talker.start()
            wait_until(lambda: len(program.out) > 10_000, "some of it")
            program.signal(number)
            program.signal(number)  # as GNU timeout passes it on
            assert program.wait() == -number
            talker.join(DEADLINE_S)
    with Recording(os.fspath(path)) as recording:
        (found,) = recording.connections()
        kept = bytes_of(recording, 1, "in")
    assert found.reason == "shutdown"
    assert len(kept) == found.received
    if form == "raw":
        assert kept.startswith(bytes(program.out))
    else:
        assert program.lines[-1].endswith(f"{len(kept)} B in, 0 B out")
        assert "closed at the end of the run" in program.lines[-1]
    assert check(os.fspath(path)).whole
