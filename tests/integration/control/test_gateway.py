"""``console --web``: the page of servers in other processes, whose API it passes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from api_client import Page, ask, control_path, page_of
from conftest import Start
from support import DEADLINE_S, Program, connect, free_port, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as subscribe

from portside.control.socket_path import make_folder, socket_of

CONNECTIONS = "/api/v1/connections"
SERVER = "/api/v1/server"
FIELDS = "?fields=peer,received"


def pid(server: Program) -> int:
    return server.process.pid


@pytest.fixture
def pair(listen: Start) -> list[Program]:
    """Two servers, by process."""
    started = [listen("--echo") for _ in range(2)]
    assert all(each.port for each in started)
    return sorted(started, key=pid)


@pytest.fixture
def clients(pair: list[Program]) -> Iterator[list[socket.socket]]:
    """A client of each server, which has had an answer."""
    with ExitStack() as stack:
        both = [stack.enter_context(connect(each.port)) for each in pair]
        for each in both:
            each.sendall(b"hello\n")
            assert each.recv(100) == b"hello\n"
        yield both


class Events:
    """The events that a subscriber of the page gets."""

    def __init__(self, subscriber: ClientConnection) -> None:
        self.subscriber = subscriber
        self._lines = (json.loads(line) for frame in self._frames() for line in frame.splitlines())

    def _frames(self) -> Iterator[str]:
        while True:
            try:
                yield str(self.subscriber.recv(DEADLINE_S))
            except ConnectionClosed:
                return

    def until(self, event: str) -> dict[str, Any]:
        """The next event with a name."""
        return next(line for line in self._lines if line["event"] == event)

    def end(self) -> int | None:
        """Read what comes until the other side closes; its code."""
        for _ in self._lines:
            pass
        return self.subscriber.close_code


@contextmanager
def events(page: Page, query: str) -> Iterator[Events]:
    """A subscriber of the page's events, from the first that are held on."""
    assert page.ask(SERVER).status == 200  # from now on they are
    with subscribe(
        f"ws://{page.address}/api/v1/events?after=0&{query}",
        compression=None, open_timeout=DEADLINE_S, ping_interval=None,
        additional_headers={"Authorization": f"Bearer {page.token}"},
    ) as subscriber:  # fmt: skip
        yield Events(subscriber)


def test_all_servers_on_one_page(pair: list[Program], clients: list[socket.socket], start: Start) -> None:
    gateway = start("console", "--all", "--web")
    page = page_of(gateway)
    assert page.address.startswith("127.0.0.1:")
    assert [each["pid"] for each in page.ask(SERVER).json["servers"]] == [pid(each) for each in pair]
    listed = page.ask(CONNECTIONS + FIELDS).json
    assert [(each["conn"], each["received"]) for each in listed["items"]] == [(f"{pid(each)}/1", 6) for each in pair]
    name = f"{pid(pair[1])}/1"
    assert page.ask(f"{CONNECTIONS}/{name}").json["conn"] == name
    assert page.ask(f"{CONNECTIONS}/{name}/send", "POST", {"text": "to one\n"}).json["sent"] == 7
    assert clients[1].recv(100) == b"to one\n"
    done = page.ask("/api/v1/broadcast", "POST", {"text": "to all\n"}).json
    assert done == {"sent": 2, "skipped": 0, "full": [], "ended": []}
    assert [each.recv(100) for each in clients] == [b"to all\n"] * 2
    assert page.ask(f"{CONNECTIONS}/{name}/close", "POST", {"how": "half"}).status == 200
    assert page.ask("/api/v1/broadcast", "POST", {"text": "x"}).json["ended"] == [name]
    assert page.ask("/api/v1/drain", "POST", {}).json == {"waiting": 2, "within": None}
    for each in clients:
        each.close()
    assert [each.wait() for each in pair] == [0, 0]
    answer = page.ask(SERVER)
    assert (answer.status, answer.json["code"]) == (503, "server")
    assert "none runs here that answers" in answer.json["detail"]
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0


def test_one_server_which_is_found_again_after_it_was_started_anew(listen: Start, start: Start) -> None:
    port = free_port()
    server = listen("--echo", "--max-conns", "7", address=f"127.0.0.1:{port}")
    assert server.port == port
    page = page_of(start("console", "--web", "0"))
    assert page.ask(SERVER).json["pid"] == pid(server)
    assert page.ask("/api/v1/limits").json["max_conns"] == 7
    assert page.ask(f"{CONNECTIONS}/1").status == 404
    assert page.ask(f"{SERVER}/").status == 404
    assert server.stop() == 0
    assert page.ask(SERVER).status == 503
    again = listen("--echo", address=f"127.0.0.1:{port}")
    assert again.port == port
    assert page.ask(SERVER).json["pid"] == pid(again)


def test_events_of_all_and_of_one(pair: list[Program], clients: list[socket.socket], start: Start) -> None:
    page = page_of(start("console", "--all", "--web"))
    of_the_second = f"server={pid(pair[1])}&filter=conn%20=%201"
    with events(page, "payload=all") as everything, events(page, of_the_second) as of_one:
        for each in clients:
            each.sendall(b"again\n")
        assert {everything.until("received")["server"] for _ in clients} == {pid(each) for each in pair}
        found = of_one.until("received")
        assert (found["conn"], found["text"]) == (1, "again\n")
        assert found["seq"] > 0
        assert pair[1].stop() == 0
        assert of_one.end() == 1001
        assert everything.until("stopped")["server"] == pid(pair[1])
    assert page.ask("/api/v1/events").status == 426
    for query in ("server=1", "server=x"):
        with pytest.raises(InvalidStatus) as refused, events(page, query):
            pass
        assert refused.value.response.status_code in (400, 404)
    with events(page, "filter=foo%20=%201") as wrong:
        assert wrong.end() == 1008


def test_what_a_gateway_refuses(pair: list[Program], start: Start) -> None:
    gateway = start("console", "--all", "--web")
    page = page_of(gateway)
    for path, status in (
        (f"{CONNECTIONS}?fields=peer&offset=x", 400),
        (f"{CONNECTIONS}?fields=peer&limit=1001", 400),
        (f"{CONNECTIONS}?fields=nothing", 400),
        (CONNECTIONS, 400),
        (f"{CONNECTIONS}/{pid(pair[0])}/99", 404),
        (f"{CONNECTIONS}/99999/1", 404),
        ("/api/v1/limits", 404),
        ("/api/v1/%0d%0aHost:%20x", 404),
        (f"{CONNECTIONS}/1%20HTTP/1.1%0d%0a%0d%0a", 404),
        ("/metrics", 404),
        (f"{SERVER}/", 404),
        (f"{CONNECTIONS}/{pid(pair[0])}/1/", 404),
        (f"{CONNECTIONS}?fields=peer&limit=0", 400),
    ):
        assert page.ask(path).status == status, path
    wrong = page.ask(f"{CONNECTIONS}?fields=peer&filter=foo%20=%201").json
    assert (wrong["code"], wrong["position"], wrong["length"]) == ("filter", 0, 3)
    assert page.ask("/api/v1/broadcast", "POST", b"{").status == 400
    assert page.ask(SERVER, headers={"Authorization": "Bearer wrong"}).status == 401
    assert page.ask(SERVER, headers={"Origin": "http://elsewhere.example"}).status == 403
    assert page.ask("/").status == page.ask("/findings/nagle-delay").status == 200
    gateway.signal(signal.SIGINT)
    assert gateway.wait() == 0
    assert b"Traceback" not in bytes(gateway.err)


def test_a_page_that_may_only_look(pair: list[Program], start: Start) -> None:
    page = page_of(start("console", "--all", "--web", "--web-read-only"))
    assert pair
    assert page.ask(SERVER).json["read_only"] is True
    assert page.ask("/api/v1/broadcast", "POST", {"text": "x"}).json["code"] == "read_only"


def test_a_subscriber_that_does_not_read_holds_up_nobody(
    pair: list[Program], clients: list[socket.socket], start: Start
) -> None:
    page = page_of(start("console", "--all", "--web"))
    with events(page, "payload=all") as stuck, events(page, "payload=none") as reads:
        stuck.subscriber.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(64):
            clients[0].sendall(b"x" * 65_536)
            left = 65_536
            while left:
                left -= len(clients[0].recv(left))
        with connect(pair[1].port):
            assert reads.until("opened")["server"] == pid(pair[1])
        assert page.ask(SERVER).status == 200


def test_one_of_several_servers_has_to_be_named(pair: list[Program], start: Start) -> None:
    for words, what in (((), "which server: 2 run here"), (("1",), "console: '1' is none of"), (("x y",), "console: ")):
        several = start("console", *words, "--web")
        assert several.wait() == 1
        said = bytes(several.err).decode()
        assert what in said
        assert "--server" not in said
        assert words == ("x y",) or f"hint: console PID or ADDRESS, of: {pid(pair[0])} " in said


def test_where_no_page_can_be(pair: list[Program], start: Start) -> None:
    held = start("console", "--web", str(pair[0].port), "--all")
    assert held.wait() == 1
    assert b"already in use" in bytes(held.err)
    for each in pair:
        assert each.stop() == 0
    for words in (("--all",), ()):
        none = start("console", "--web", *words)
        assert none.wait() == 1
        wait_until(lambda none=none: b"none runs here" in bytes(none.err), "what is wrong")  # type: ignore[misc]


_WAITS = "import portside.cli as p, portside.control.client.http_client as c; c.TIMEOUT_S = {}; p.main()"
PATIENT, IMPATIENT = _WAITS.format(1e6), _WAITS.format(4)
"""``portside`` that waits for an answer for longer than a test takes, or hardly."""


def ends_of_control_socket(server: Program) -> int:
    """How many ends the control socket of a server has: its own, and those of its clients, whether accepted or not."""
    path = str(control_path(server))
    return sum(line.endswith(path) for line in Path("/proc/net/unix").read_text().splitlines())


@pytest.mark.parametrize("words", [("--all",), ()])
def test_the_end_waits_for_no_server_that_does_not_answer(words: tuple[str, ...], listen: Start, start: Start) -> None:
    servers = [listen("--echo") for _ in range(2 if words else 1)]
    assert all(each.port for each in servers)
    gateway = start("console", "--web", *words, command=(sys.executable, "-c", PATIENT))
    page = page_of(gateway)
    assert page.ask(SERVER).status == 200
    servers[0].signal(signal.SIGSTOP)
    try:
        before = ends_of_control_socket(servers[0])
        host, _, port = page.address.partition(":")
        with connect(int(port), host) as asks:
            lines = ("GET", SERVER, f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {page.token}\r\n\r\n")
            asks.sendall(" ".join(lines).encode())
            wait_until(lambda: ends_of_control_socket(servers[0]) > before, "the gateway to ask")
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
    finally:
        servers[0].signal(signal.SIGCONT)
    assert b"Traceback" not in bytes(gateway.err)


def test_a_server_that_is_there_and_does_not_answer_is_not_looked_for(listen: Start, start: Start) -> None:
    server = listen("--echo")
    assert server.port
    assert ask(server, SERVER).status == 200  # its API is loaded
    page = page_of(start("console", "--web", command=(sys.executable, "-c", IMPATIENT)))
    assert page.ask(SERVER).status == 200
    server.signal(signal.SIGSTOP)
    try:
        answer = page.ask(SERVER)
    finally:
        server.signal(signal.SIGCONT)
    assert (answer.status, answer.json["detail"]) == (503, f"server {pid(server)}: no answer within 4s")


@contextmanager
def other_program(said: bytes, refusal: bytes = b"404 Not Found") -> Iterator[int]:
    """A program that is no server of ours, which says this of itself on a control socket, and refuses everything else:
    its process, which ``PID`` stands for.
    """
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process, socket.socket(socket.AF_UNIX) as listener:
        path = socket_of(process.pid, make_folder())
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        status = b"200 OK" if b" /api/v1/server " in client.recv(65536) else refusal
                        body = said.replace(b"PID", str(process.pid).encode())
                        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                        client.sendall(head % (status, len(body)) + body)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield process.pid
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_S)
            os.unlink(path)
            process.kill()


@pytest.mark.parametrize(
    "said",
    [b"{}", b"[]", b"null", b'{"pid":"x"}', b'{"pid":1,"uptime":1,"started":"","listeners":[],"counts":{}}', b"OK"],
)
def test_another_program_beside_the_servers(said: bytes, pair: list[Program], start: Start) -> None:
    with other_program(said) as process:
        alone = start("console", str(process), "--web")
        assert alone.wait() == 1
        assert b"it does not answer as Portside does" in bytes(alone.err)
        page = page_of(start("console", "--all", "--web"))
        assert [each["pid"] for each in page.ask(SERVER).json["servers"]] == [pid(each) for each in pair]
        by_port = page_of(start("console", f":{pair[0].port}", "--web"))
        assert by_port.ask(SERVER).json["pid"] == pid(pair[0])


def test_a_refusal_whose_status_nobody_knows(start: Start) -> None:
    counts = b'{"open":0,"opened":0,"received":0,"sent":0,"closed":{},"refused":{}}'
    info = b'{"pid":PID,"uptime":1,"started":"","listeners":[],"rates":{},"counts":%s}' % counts
    for status in (b"450 No", b"999 No"):
        with other_program(info, status) as process:
            gateway = start("console", str(process), "--web")
            page = page_of(gateway)
            answer = page.ask("/api/v1/limits")
            assert (answer.status, answer.json["detail"]) == (502, f"HTTP status {int(status[:3])}")
            with events(page, "payload=none") as refused:
                assert refused.end() == 1008
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
            assert b"Traceback" not in bytes(gateway.err)
