"""What no real run can be made to do: no descriptor is left in the moment between a program and its pidfd."""

import asyncio
import errno
import os
import subprocess
from typing import Any

import pytest

from portside.behaviours.program import Programs
from portside.events import CloseReason
from portside.server.connection import ConnectionInfo


class Client:
    """As much of a connection as a program wants."""

    peer, number, half_closed = "127.0.0.1:1", 1, False
    info = ConnectionInfo(peer, "127.0.0.1:2", "127.0.0.1")

    def __init__(self) -> None:
        self.closed: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()

    def close(self, reason: CloseReason) -> None:
        self.closed.set_result(reason)


def test_no_descriptor_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_pid: int) -> int:
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
