"""What no real run can be made to do: no descriptor is left in the moment between a program and its pidfd, for one."""

import asyncio
import errno
import os
import subprocess
from typing import Any

import pytest

from portside.behaviours import program_relay
from portside.behaviours.process_group import ProcessState
from portside.behaviours.program import Programs
from portside.behaviours.program_relay import ProgramRelay
from portside.events import CloseReason
from portside.server.connection import ConnectionInfo


class SlowClient:
    """A connection whose peer takes one piece, and pauses."""

    number = 1

    def __init__(self) -> None:
        self.got = b""
        self.write_paused = False
        self.paused, self.closed = asyncio.Event(), asyncio.Event()

    def send(self, data: bytes) -> None:
        self.got += data
        if not self.paused.is_set():
            self.write_paused = True
            self.paused.set()

    def resume_reading(self, _hold: object) -> None:
        """It is read anyway."""

    def close_gracefully(self) -> None:
        self.closed.set()


class Client:
    """As much of a connection as a program wants."""

    peer, number, half_closed = "127.0.0.1:1", 1, False
    info = ConnectionInfo(peer, "127.0.0.1:2", "127.0.0.1")

    def __init__(self) -> None:
        self.closed: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()

    def close(self, reason: CloseReason) -> None:
        self.closed.set_result(reason)


def test_no_descriptor_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pid: int, _flags: int = 0) -> int:
        if pid == os.getpid():  # asyncio of Python 3.14 tries whether there are such descriptors
            return os.open(os.devnull, os.O_RDONLY)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **options))
        return started[-1]

    monkeypatch.setattr(os, "pidfd_open", fail)
    monkeypatch.setattr(subprocess, "Popen", start)
    said: list[bytes] = []

    async def run() -> None:
        programs, client = Programs(["sleep", "1000"], lambda _connection, line: said.append(line)), Client()
        programs.opened(client)  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            assert await client.closed == "error"
            await programs.end()

    asyncio.run(run())
    assert said == [b"cannot run sleep: Too many open files"]
    assert started[0].returncode == -9


def test_a_program_for_a_terminal_that_is_gone_leaves_no_descriptor_open() -> None:
    said: list[bytes] = []

    async def run() -> None:
        programs = Programs(["/no/such/program"], lambda _connection, line: said.append(line), hang_up_s=5.0)
        before = os.listdir("/proc/self/fd")
        client = Client()
        programs.opened(client)  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            assert await client.closed == "error"
            await programs.end()
        assert os.listdir("/proc/self/fd") == before

    asyncio.run(run())
    assert said == [b"cannot run /no/such/program: No such file or directory"]


class Group:
    """A program that has written two pieces; its end is reported by hand."""

    pid, state, has_exited = 1, ProcessState.EXITED, True

    def __init__(self, *_: object) -> None:
        self.input, stdin = os.pipe()
        stdout, self.output = os.pipe()
        stderr, self.errors = os.pipe()
        self.pipes = (os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0), os.fdopen(stderr, "rb", 0))


def test_output_that_waited_for_the_client_is_read_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[Group] = []

    def make(*_: object) -> Group:
        groups.append(Group())
        return groups[-1]

    monkeypatch.setattr(program_relay, "ProcessGroup", make)

    async def run() -> None:
        client = SlowClient()
        relay = ProgramRelay(client, lambda *_: None, lambda _: None)  # type: ignore[arg-type]
        await relay.start(["x"], {})
        os.write(groups[0].output, b"first ")
        async with asyncio.timeout(30):
            await client.paused.wait()
            os.write(groups[0].output, b"last")
            os.close(groups[0].output)
            relay._on_exit(0)
            client.write_paused = False
            relay.resume_output()
            relay._close()  # as its timer would in this moment
            await client.closed.wait()
        assert client.got == b"first last"
        os.close(groups[0].input)
        os.close(groups[0].errors)

    asyncio.run(run())
