"""Lines of 64 bytes from 50 clients while somebody follows all events over the control API, and while nobody does."""

import os
import threading
from collections.abc import Iterator
from functools import partial

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.lines import ALONE, CLIENTS, PLAIN, Sending
from bench.server import Server, Work


def observed(plan: Plan) -> Iterator[Result]:
    for sending in (PLAIN, ALONE):
        total = CLIENTS * plan.some(sending.each)
        works = plan.by_turns(
            {
                "with": partial(_send_lines, sending, total // CLIENTS, followed=True),
                "without": partial(_send_lines, sending, total // CLIENTS, followed=False),
            }
        )
        mine, theirs = ([total / work.server_cpu_s for work in of] for of in works.values())
        row = f"{CLIENTS} clients, 64-byte lines to a file, {sending.words}, somebody follows all events over the API"
        yield Result(row, "lines/s of CPU", mine, "nobody follows", theirs, Bar(0.85), NOTE)


def _send_lines(sending: Sending, each: int, *, followed: bool) -> Work:
    with Server(peers.TEXT) as server:
        follower = _Follower(server.pid) if followed else None
        work = server.work(sending.mode, CLIENTS, each, sending.pack)
        server.stop()
        if follower is not None:
            follower.check(2 * CLIENTS)
        if server.missing(CLIENTS * each, work.failed):
            raise RuntimeError("lines are missing")
        return work


class _Follower:
    """A subscriber of all events with their payload, on the core of the load."""

    def __init__(self, pid: int) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = f"{runtime}/portside" if runtime else f"/tmp/portside-{os.geteuid()}"
        self._lines = 0
        with machine.on_core(machine.LOAD_CORE):
            self._connection = unix_connect(f"{folder}/{pid}.sock", "ws://localhost/api/v1/events", compression=None)
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        try:
            for frame in self._connection:
                self._lines += str(frame).count("\n")
        except ConnectionClosed:
            pass

    def check(self, least: int) -> None:
        """After the server's end: raise where fewer events than that came."""
        self._thread.join()
        self._connection.close()
        if self._lines < least:
            raise RuntimeError(f"{self._lines} events came, of at least {least}")


NOTE = (
    "The format is text. The subscriber has every event with its payload in a WebSocket, at most 2.5 MB/s, and is told "
    "what it missed. The newest events are held for all who come."
)
