"""The events of servers on the machine, from a control socket that says what no Portside server does."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest
from support import wait_until
from unit.fleet.test_agent_parts import Added

from portside.control.socket_path import ControlSocket
from portside.fleet.agent.ending import StopSignal
from portside.fleet.agent.servers import ServerEvents

INFO = {
    "pid": os.getpid(), "started": "x", "uptime": 1, "listeners": [], "rates": {},
    "counts": {"open": 0, "opened": 0, "received": 0, "sent": 0, "closed": {}, "refused": {}},
}  # fmt: skip
EVENTS = b'{"event":"opened","seq":7}\n{"event":"x","seq":-1}\n{"event":"opened","seq":1180591620717411303424}\n'


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(INFO).encode() if self.path.endswith("/server") else EVENTS)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@contextmanager
def control_socket(path: Path) -> Iterator[ControlSocket]:
    with ThreadingUnixStreamServer(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield ControlSocket(os.getpid(), str(path))
        finally:
            server.shutdown()
            thread.join()


def test_a_number_that_cannot_be_one_is_not_kept(tmp_path: Path) -> None:
    """Another user's process may answer at a control socket of root's agent; what it says last is not believed."""
    added, ending = Added(), StopSignal()
    with control_socket(tmp_path / "control") as control:
        source = ServerEvents(added.outlet, {}, payload=False, rate=1000.0, find=lambda: [control])
        failed: list[Exception] = []

        def run() -> None:
            try:
                source.run(ending)
            except Exception as error:  # noqa: BLE001 -- any would end the agent
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: len(added.of("server")) >= 3 or failed, "the events")
        finally:
            ending.set()
            thread.join()
            ending.close()
    assert not failed
    assert added.positions == {f"server {os.getpid()} x": 7}


@pytest.mark.parametrize("started", ["\ud800", "x" * 65])
def test_a_server_that_began_at_no_time_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    monkeypatch.setitem(INFO, "started", started)
    added = Added()
    with control_socket(tmp_path / "control") as control:
        source = ServerEvents(added.outlet, {}, payload=False, rate=1000.0, find=lambda: [control])
        source._search()
        assert not source._threads
