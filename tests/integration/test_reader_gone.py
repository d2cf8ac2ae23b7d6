"""``portside … | head -1``: a command ends when the reader of its output goes away, not at its next output."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Start
from recording_files import closed, opened, received, record
from support import DEADLINE_S, Program, connect, wait_until


class Reader:
    """The reader of a command's standard output, in the hands of the test."""

    def __init__(self) -> None:
        self.fd, self.writer = os.pipe()

    def line(self) -> bytes:
        """The first line, as ``head -1`` reads it."""
        data = b""
        while not data.endswith(b"\n"):
            data += os.read(self.fd, 1)
        return data

    def go_away(self) -> None:
        os.close(self.fd)


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    os.close(made.writer)


@pytest.fixture
def start_into(start: Start, reader: Reader) -> Callable[..., Program]:
    """Start a command with the reader at its standard output, and the write end nowhere else."""

    def start_one(*arguments: str, **options: object) -> Program:
        program = start(*arguments, stdout=reader.writer, **options)
        os.close(reader.writer)
        reader.writer = os.open(os.devnull, os.O_WRONLY)
        return program

    return start_one


StartInto = Callable[..., Program]


def test_a_reader_of_both_outputs(reader: Reader) -> None:
    """``portside watch 2>&1 | head``: what could not be said is no failure (Python would end with 120)."""
    reader.go_away()
    words = [sys.executable, "-m", "portside", "watch", "--listening"]
    done = subprocess.run(words, stdout=reader.writer, stderr=reader.writer, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0


@pytest.mark.parametrize("form", ["text", "json", "classic", "hex"])
def test_a_server_without_clients(start_into: StartInto, reader: Reader, form: str) -> None:
    server = start_into("listen", "127.0.0.1:0", "--format", form)
    assert reader.line()
    reader.go_away()
    assert server.wait() == 0


def test_a_server_whose_client_is_silent(start_into: StartInto, reader: Reader) -> None:
    server = start_into("listen", "127.0.0.1:0", "--format", "raw")
    with connect(server.port) as client:
        client.sendall(b"one line\n")
        assert reader.line() == b"one line\n"
        reader.go_away()
        assert server.wait() == 0


@pytest.mark.parametrize("arguments", [(), ("--format", "text"), ("--recv-only",)])
def test_a_client_whose_peer_is_silent(start_into: StartInto, reader: Reader, arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        client = start_into("connect", f"127.0.0.1:{listener.getsockname()[1]}", *arguments, stdin=subprocess.PIPE)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"one line\n")
            assert reader.line()
            reader.go_away()
            assert client.wait() == 0


def test_what_is_being_sent_is_still_sent(start_into: StartInto, reader: Reader, tmp_path: Path) -> None:
    blob = os.urandom(5_000_000)
    (tmp_path / "blob").write_bytes(blob)
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp_path / "blob").open("rb") as file:
        listener.settimeout(DEADLINE_S)
        client = start_into("connect", f"127.0.0.1:{listener.getsockname()[1]}", stdin=file)
        peer, _ = listener.accept()
        reader.go_away()
        with peer:
            got = bytearray()
            while data := peer.recv(1 << 16):
                got += data
        assert client.wait() == 0
    assert got == blob


def test_a_client_that_waits_for_its_server(start_into: StartInto, reader: Reader) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    client = start_into("connect", nobody, "--retry", "forever", "-v")
    client.wait_for("refused", err=True)
    reader.go_away()
    assert client.wait() == 0


def test_events_that_do_not_come(start_into: StartInto, reader: Reader) -> None:
    program = start_into("watch", "--events", "sport = :1")
    assert reader.line()
    reader.go_away()
    assert program.wait() == 0


def test_a_connection_that_is_followed(listen: Start, start_into: StartInto, reader: Reader, tmp_path: Path) -> None:
    server = listen("--record", str(tmp_path / "rec"))
    with connect(server.port) as client:
        client.sendall(b"one line\n")
        server.wait_for("one line")
        index = tmp_path / "rec" / "index.sqlite"
        wait_until(lambda: index.exists() and _is_listed(tmp_path / "rec"), "the connection in the index")
        program = start_into("rec", "show", str(tmp_path / "rec"), "1", "--follow")
        assert reader.line()
        reader.go_away()
        assert program.wait() == 0


def _is_listed(path: Path) -> bool:
    from portside.record.recording import Recording

    with Recording(os.fspath(path)) as recording:
        return any(True for _ in recording.connections())


def test_a_replay_that_waits_for_a_client(start_into: StartInto, reader: Reader, tmp_path: Path) -> None:
    record(tmp_path / "rec", [opened(1), received(1, b"x"), closed(1, 1)])
    where = tmp_path / "socket"
    program = start_into("rec", "replay", str(tmp_path / "rec"), "1", f"unix:{where}", "--as", "server")
    program.wait_for("listening", err=True)
    reader.go_away()
    assert program.wait() == 0
    assert not where.exists()


def test_a_replay_that_waits_for_its_time(start_into: StartInto, reader: Reader, tmp_path: Path) -> None:
    hours = 5 * 3600 * 10**9
    record(tmp_path / "rec", [opened(1), closed(1)], [opened(2, hours), closed(2, at=hours)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        program = start_into("rec", "replay", str(tmp_path / "rec"), "all", address, "--speed", "1x")
        listener.settimeout(DEADLINE_S)
        listener.accept()[0].close()
        assert reader.line()
        reader.go_away()
        assert program.wait() == 0
