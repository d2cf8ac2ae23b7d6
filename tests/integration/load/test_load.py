"""``portside load`` against servers of all kinds, good and bad."""

import itertools
import json
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from conftest import Start
from hdrh.histogram import HdrHistogram
from support import DEADLINE_S, Program, free_port, wait_until

Serve = Callable[[socket.socket], object]


@contextmanager
def serving(serve: Serve, at_once: Serve | None = None) -> Iterator[int]:
    """A server that runs a function with each connection, on threads: its port.

    ``at_once`` is called before the next connection is accepted. Then at most two connections are there for which it
    has not been called, since the kernel takes only one more for the server.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128 if at_once is None else 0) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if at_once is not None:
                    at_once(connection)
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(DEADLINE_S)
                try:
                    serve(connection)
                except OSError:
                    pass

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def load(start: Start, port: int, *options: str, status: int | None = 0) -> Any:
    """The report of a run."""
    program = start("load", f"127.0.0.1:{port}", "--json", *options)
    ended = program.wait()
    assert status is None or ended == status, program.err.decode()
    return json.loads(program.out) if program.out else None


def load_until(start: Start, port: int, condition: Callable[[], Any], what: str, *options: str) -> Any:
    """The report of a run that goes on until a condition holds, and then ends as at Ctrl-C."""
    program = start("load", f"127.0.0.1:{port}", "--json", "-d", "10m", *options)
    wait_until(condition, what)
    program.signal(signal.SIGINT)
    assert program.wait() == 0, program.err.decode()
    return json.loads(program.out)


def test_every_message_is_answered_and_counted(start: Start, listen: Start) -> None:
    server = listen("--echo")
    report = load(start, server.port, "-n", "1000", "-c", "10", "--workers", "2")
    assert (report["sent"], report["replies"], report["errors"]) == (1000, 1000, {})
    assert (report["opened"], report["workers"], report["connections"]) == (10, 2, 10)
    assert report["bytes_sent"] == report["bytes_received"] == 64_000
    times = report["latency_us"]
    assert list(times) == ["p50", "p90", "p95", "p99", "p99_9", "p99_99", "max"]
    assert 0 < times["p50"] <= times["p99"] <= times["p99_9"] <= times["max"]
    assert report["kernel"]["retransmitted"] == 0
    assert report["kernel"]["rtt_us"]["p50"] > 0
    assert report["connect_us"]["p50"] > 0
    assert report["late_us"] is None


def test_an_open_loop_sends_what_is_due(start: Start, listen: Start) -> None:
    report = load(start, listen("--echo").port, "--rate", "500/s", "-d", "1s", "-c", "4", "--workers", "2", "-w", "20s")
    assert 490 <= report["sent"] <= 500
    assert report["replies"] == report["sent"]
    assert report["wanted_rate"] == 500
    assert report["late_us"]["p50"] is not None


def test_latency_counts_from_when_a_message_was_due(start: Start) -> None:
    """A server that answers nothing for 400 ms of a second: 40 % of what is due waits, up to 400 ms."""
    came: list[float] = []
    answered: list[float] = []

    def answer(connection: socket.socket, *, after_s: float = 0.0) -> None:
        data = connection.recv(65536)
        came.append(time.monotonic())
        threading.Event().wait(after_s)  # the pause is what the test is about
        answered.append(time.monotonic())
        connection.sendall(data)

    def pausing(connection: socket.socket) -> None:
        for number in range(200):
            answer(connection, after_s=0.4 if number == 60 else 0.0)

    with serving(pausing) as port:
        report = load(start, port, "--rate", "200/s", "-d", "1s", "-c", "1", "-w", "20s")
    assert report["replies"] == report["sent"] == 200
    assert report["errors"] == {}
    # Without the correction one message would have waited. Message 0 came when it was due or later, and an answer takes
    # some time to be read: so each waited for longer than this, and of a slow machine both are longer.
    waits = sorted((at - came[0]) * 1e6 - number * 5000 for number, at in enumerate(answered))
    times = report["latency_us"]
    assert times["p90"] > max(waits[178] * 0.998, 100_000)
    assert times["max"] > max(waits[199] * 0.998, 350_000)
    assert times["p50"] < times["p90"] < times["max"]  # as evenly as they were due


@pytest.mark.parametrize(
    ("reply", "answer"),
    [("lines:2", b"one\ntwo\n"), ("bytes:7", b"sevenby"), ("/2\\d\\d ok/", b"220 ok"), ("END", b"the END")],
)
def test_answers_of_other_kinds(start: Start, reply: str, answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    with serving(serve) as port:
        report = load(start, port, "-n", "50", "-c", "2", "--message", "x", "--reply", reply)
    assert (report["replies"], report["errors"]) == (50, {})


GREETED = (
    *("-c", "6", "--workers", "1", "--connect-rate", "20/s", "--timeout", "20s"),
    *("--reply", "lines:1", "--message", "NOOP\\r\\n"),
)
"""Six connections that are all open before the first message. The greetings that a server sends at once have come on
four of them by then, which is on most, however slow it is."""


def answer_lines(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(b"250 ok\r\n" * data.count(b"\n"))


def test_a_server_that_speaks_first_is_let_speak(start: Start) -> None:
    """Its greeting is no answer, and on connections that come later it is waited for."""
    opened: list[int] = []
    too_early: list[int] = []

    def greet(connection: socket.socket) -> None:
        opened.append(connection.fileno())
        if len(opened) > 6 and select.select([connection], [], [], 0.02)[0]:
            too_early.append(connection.fileno())
        connection.sendall(b"220 ready\r\n")

    with serving(answer_lines, greet) as port:
        report = load(start, port, *GREETED, "-n", "60", "--per-connection", "4")
    assert (report["replies"], report["errors"], too_early) == (60, {}, [])
    assert report["opened"] == len(opened) >= 15
    assert report["bytes_received"] >= 60 * len(b"250 ok\r\n") + 15 * len(b"220 ready\r\n")


class TlsServer:
    """A server's side of TLS that can send something in one write with the end of the handshake."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self, greeting: bytes, *, is_all: bool = False) -> None:
        """Do the handshake and send the greeting with it, and where that is all close_notify too."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        self._tls.write(greeting)
        if is_all:
            with suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
        self._connection.sendall(self._outgoing.read())

    def _exchange(self) -> None:
        self._connection.sendall(self._outgoing.read())
        data = self._connection.recv(65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: bytes) -> None:
        """Send something, with what else there is to send."""
        self._tls.write(data)
        self._connection.sendall(self._outgoing.read())

    def recv(self) -> bytes:
        """Data of the client; nothing at its end."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._exchange()
            except ssl.SSLError:  # FIN without close_notify
                return b""


@pytest.fixture
def tls12(tmp_path: Path) -> ssl.SSLContext:
    """A server's context of TLS 1.2, where the server has the last word of the handshake."""
    own = Authority(tmp_path).sign("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(own.certificate, own.key)
    return context


def test_a_greeting_that_comes_with_the_end_of_the_tls_handshake(start: Start, tls12: ssl.SSLContext) -> None:
    """No event of the socket follows it: what waits for it would wait for ever."""

    def serve(connection: socket.socket) -> None:
        server = TlsServer(connection, tls12)
        server.handshake(b"220 ready\r\n")
        while data := server.recv():
            server.send(b"250 ok\r\n" * data.count(b"\n"))

    with serving(serve) as port:
        report = load(start, port, *GREETED, "-n", "40", "--per-connection", "4", "--tls", "--no-tls-verify")
    assert (report["replies"], report["errors"]) == (40, {})


def test_a_tls_session_that_ends_with_its_handshake(start: Start, tls12: ssl.SSLContext) -> None:
    """The server says why and that it sends no more, and keeps the connection: the next one is tried.

    Only its first client gets answers, and those once ten others were sent away, before the run and in it.
    """
    numbers = itertools.count(1)
    others_tried_again = threading.Event()

    def serve(connection: socket.socket) -> None:
        server = TlsServer(connection, tls12)
        number = next(numbers)
        if number > 1:
            server.handshake(b"421 busy\r\n", is_all=True)
            if number > 10:
                others_tried_again.set()
            while connection.recv(65536):
                pass
            return
        server.handshake(b"220 ready\r\n")
        while data := server.recv():
            if not others_tried_again.wait(DEADLINE_S):
                return
            server.send(b"250 ok\r\n" * data.count(b"\n"))

    with serving(serve) as port:
        report = load(start, port, *GREETED, "-n", "40", "--tls", "--no-tls-verify")
    assert report["opened"] > 6
    assert "unanswered" not in report["errors"]


def test_a_greeting_that_does_not_come_is_an_error(start: Start) -> None:
    """The client ends a connection on which nothing was sent by either side."""
    opened: list[socket.socket] = []
    given_up: list[socket.socket] = []

    def greet(connection: socket.socket) -> None:
        opened.append(connection)
        if len(opened) <= 6:
            connection.sendall(b"220 ready\r\n")

    def serve(connection: socket.socket) -> None:
        if connection in opened[:6]:
            answer_lines(connection)
        elif not connection.recv(65536):
            given_up.append(connection)

    options = (*GREETED, "--per-connection", "4", "--timeout", "2s")
    with serving(serve, greet) as port:
        report = load_until(start, port, lambda: len(given_up) >= 6, "connections to be given up", *options)
    assert report["replies"] == report["sent"] == 24
    assert set(report["errors"]) - {"not_closed"} == {"timed_out"}  # our FIN may come late on a slow machine


def test_a_server_that_sends_some_clients_away_does_not_speak_first(start: Start) -> None:
    opened: list[socket.socket] = []
    sent_away: list[socket.socket] = []

    def send_away(connection: socket.socket) -> None:
        opened.append(connection)
        if len(opened) == 2:
            sent_away.append(connection)
            connection.sendall(b"-ERR max number of clients reached\r\n")
            connection.shutdown(socket.SHUT_WR)

    def serve(connection: socket.socket) -> None:
        if connection not in sent_away:
            answer_lines(connection)

    with serving(serve, send_away) as port:
        report = load(start, port, *GREETED, "-n", "60", "--per-connection", "4")
    assert (report["replies"], report["errors"]) == (60, {})


def test_data_after_an_answer_is_unexpected(start: Start) -> None:
    given_up: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        connection.recv(65536)
        connection.sendall(b"250 ok\r\n")
        threading.Event().wait(0.1)  # so that it is no part of the answer
        connection.sendall(b"421 bye\r\n")
        with suppress(ConnectionResetError):
            connection.recv(65536)
        given_up.append(connection)

    with serving(serve) as port:
        report = load_until(start, port, lambda: given_up, "a connection to be given up", *GREETED, "--think", "10m")
    assert set(report["errors"]) == {"unexpected_data"}


def test_messages_that_differ(start: Start) -> None:
    seen: set[bytes] = set()

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            seen.update(data.splitlines())
            connection.sendall(data)

    with serving(serve) as port:
        report = load(start, port, "-n", "40", "-c", "4", "--workers", "2", "--message", r"${conn}.${count}\n")
    assert (report["replies"], report["errors"]) == (40, {})
    assert len(seen) == 40
    assert {each.split(b".")[0] for each in seen} == {b"1", b"2", b"3", b"4"}


def test_the_rate_of_a_few_messages_counts_their_answers(start: Start, listen: Start) -> None:
    report = load(start, listen("--echo").port, "-n", "4", "-c", "4", "--workers", "2")
    assert report["replies"] == 4
    assert report["rate"] > 0
    assert report["duration"] * 1e6 >= report["latency_us"]["p50"] * 0.99 - 1000


def test_a_pipeline(start: Start, listen: Start) -> None:
    report = load(start, listen("--echo").port, "-n", "1000", "-c", "2", "--pipeline", "16")
    assert (report["replies"], report["errors"]) == (1000, {})


def test_connections_that_come_and_go(start: Start, listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    report = load(start, server.port, "-n", "60", "-c", "3", "--workers", "1", "--per-connection", "2")
    assert (report["replies"], report["errors"]) == (60, {})
    assert report["opened"] >= 30
    server.wait_for('"peer_closed"', count=30)
    assert not [each for each in server.events if each["event"] == "closed" and each["reason"] == "peer_reset"]


def test_a_lifetime_ends_connections(start: Start, listen: Start) -> None:
    server = listen("--echo")
    options = ("-c", "2", "--lifetime", "200ms", "--think", "5ms", "--timeout", "20s")
    report = load_until(start, server.port, lambda: server.out.count(b"closed by peer") >= 4, "four ends", *options)
    assert report["errors"] == {}
    assert report["opened"] >= 4


def test_no_answer_is_waited_for(start: Start) -> None:
    got = [0]

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(1 << 20):
            got[0] += len(data)

    with serving(serve) as port:
        report = load(start, port, "-n", "50", "-c", "1", "--reply", "none", "--message", "random:100k")
        wait_until(lambda: got[0] == 50 * 100 * 1024, "all bytes to arrive")
    assert (report["sent"], report["bytes_sent"]) == (50, 50 * 100 * 1024)


def test_tls(start: Start, listen: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("localhost")
    server = listen("--echo", "--tls", "--tls-cert", str(own.certificate), "--tls-key", str(own.key))
    options = ("--tls", "--tls-ca", str(authority.path), "--tls-servername", "localhost")
    report = load(start, server.port, "-n", "200", "-c", "4", *options)
    assert (report["replies"], report["errors"]) == (200, {})
    report = load(
        start, server.port, "-n", "20", "-c", "2", *options, "--per-connection", "1", "--message", "random:70k"
    )
    assert (report["replies"], report["errors"]) == (20, {})
    program = start("load", f"127.0.0.1:{server.port}", "-n", "5", "--tls")
    assert program.wait() == 1
    assert "TLS handshakes that failed" in program.err.decode()


def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = start("listen", f"unix:{path}", "--echo")
    server.wait_for("listening")
    program = start("load", f"unix:{path}", "-n", "100", "-c", "4", "--json")
    assert program.wait() == 0
    report = json.loads(program.out)
    assert (report["replies"], report["errors"], report["kernel"]) == (100, {}, None)


def test_several_sources_take_turns(start: Start) -> None:
    peers: set[str] = set()

    def serve(connection: socket.socket) -> None:
        peers.add(connection.getpeername()[0])
        echo(connection)

    with serving(serve) as port:
        sources = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
        load(start, port, "-n", "60", "-c", "6", *(f"--source={each}" for each in sources))
    assert peers == set(sources)


# Bad days.


def test_a_server_that_refuses(start: Start) -> None:
    port = free_port()
    program = start("load", f"127.0.0.1:{port}", "-d", "1s")
    assert program.wait() == 1
    assert program.err.decode().startswith(f"portside: cannot load 127.0.0.1:{port}: no connection was made: ")
    assert "hint: nothing listens there" in program.err.decode()


def test_a_server_that_resets(start: Start) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(serve) as port:
        report = load(start, port, "-n", "30", "-c", "3", status=1)
    assert report["replies"] == 0
    assert report["errors"] == {"reset": 30}


def test_a_server_that_closes_before_it_has_answered(start: Start) -> None:
    with serving(lambda connection: connection.recv(65536)) as port:
        report = load(start, port, "-n", "30", "-c", "3", status=1)
    assert report["errors"] == {"closed": 30}


def test_a_server_that_answers_wrongly(start: Start) -> None:
    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data.upper())

    with serving(serve) as port:
        report = load(start, port, "-n", "10", "-c", "2", "--message", "abc", status=1)
    assert report["errors"] == {"wrong_reply": 10}


def test_a_server_that_answers_twice(start: Start) -> None:
    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data + data)

    with serving(serve) as port:
        report = load(start, port, "-n", "10", "-c", "2", status=1)
    assert set(report["errors"]) == {"unexpected_data"}


def test_a_server_that_never_answers(start: Start) -> None:
    """MessageSource without an answer are errors, and their age is in the latency: nothing hides them."""
    with serving(lambda connection: connection.recv(1) and threading.Event().wait(DEADLINE_S)) as port:
        report = load(
            start, port, "-d", "300ms", "-c", "3", "--rate", "100/s", "--timeout", "400ms", "--workers", "1", status=1
        )
    assert report["replies"] == 0
    assert report["errors"]["unanswered"] == 3
    assert report["errors"]["not_sent"] == 27
    assert report["latency_us"]["max"] > 600_000


def test_a_server_that_stalls_is_the_reason_that_is_said(start: Start) -> None:
    """Its window is closed: the kernel's own clock says so."""
    over = threading.Event()

    def serve(_: socket.socket) -> None:
        over.wait(DEADLINE_S)

    options = ("-d", "1s", "--timeout", "500ms", "-c", "1", "--reply", "none", "--message", "random:64k")
    with serving(serve) as port:
        report = load(start, port, *options)
        over.set()
    assert report["kernel"]["receiver_limited"] > 0.5
    assert any("its window was closed" in sentence for sentence in report["verdict"])


def test_no_descriptors_are_an_error_by_kind(listen: Start, start: Start) -> None:
    server = listen("--echo")
    limit = 40
    program = start(
        "load", f"127.0.0.1:{server.port}", "-d", "300ms", "-c", "100", "--workers", "1", "--json", "-w", "20s",
        preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )  # fmt: skip
    assert program.wait() == 0, program.err.decode()
    report = json.loads(program.out)
    assert report["errors"]["no_descriptors"] > 0
    assert report["replies"] > 0


def workers_of(program: Program) -> list[int]:
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def test_a_worker_that_is_killed_is_said(listen: Start, start: Start) -> None:
    server = listen("--echo", "--format", "json")
    options = ("-d", "10m", "-c", "4", "--workers", "2", "--think", "5ms", "--json")
    program = start("load", f"127.0.0.1:{server.port}", *options)
    server.wait_for('"received"', count=4)
    os.kill(workers_of(program)[0], signal.SIGKILL)
    server.wait_for('"closed"', count=2)
    server.wait_for('"received"', count=len(server.wait_for('"received"')) + 20)  # of the other worker
    program.signal(signal.SIGINT)
    assert program.wait() == 0, program.err.decode()
    report = json.loads(program.out)
    assert report["errors"]["worker_lost"] == 1
    assert report["replies"] > 0


def test_a_worker_that_is_stopped_does_not_hold_the_run_up(listen: Start, start: Start) -> None:
    server = listen("--echo", "--format", "json")
    options = ("-d", "5s", "-c", "4", "--workers", "2", "--think", "5ms", "--json")
    program = start("load", f"127.0.0.1:{server.port}", *options)
    server.wait_for('"received"', count=4)
    stopped = workers_of(program)[0]
    os.kill(stopped, signal.SIGSTOP)
    assert program.wait() == 0, program.err.decode()
    report = json.loads(program.out)
    assert report["errors"]["worker_lost"] == 1
    assert report["replies"] > 0
    assert not Path(f"/proc/{stopped}").exists()


def test_ctrl_c_gives_a_report_though_the_workers_are_stopped(start: Start) -> None:
    answered: dict[socket.socket, int] = {}

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data)
            answered[connection] = answered.get(connection, 0) + 1

    with serving(serve) as port:
        options = ("-n", "1000000", "--think", "1ms", "-c", "2", "--workers", "2")
        program = start("load", f"127.0.0.1:{port}", *options, "--json")
        # Each worker has waited 200 times 1 ms, so that it has told of its first answers at least.
        wait_until(lambda: len(answered) == 2 and min(answered.values()) >= 200, "both workers to report")
        for pid in workers_of(program):
            os.kill(pid, signal.SIGSTOP)
        program.signal(signal.SIGINT)
        assert program.wait() == 0, program.err.decode()
    report = json.loads(program.out)
    assert report["errors"] == {"worker_lost": 2}
    assert report["replies"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_report(listen: Start, start: Start, number: signal.Signals) -> None:
    server = listen("--echo")
    program = start("load", f"127.0.0.1:{server.port}", "-d", "10m", "-c", "4", "--json")
    server.wait_for("> 0123", count=4)
    program.signal(number)
    assert program.wait() == 0, program.err.decode()
    report = json.loads(program.out)
    assert report["replies"] == report["sent"] > 0
    assert report["errors"] == {}
    assert report["duration"] < 60


def test_workers_end_when_their_parent_is_killed(listen: Start, start: Start) -> None:
    server = listen("--echo")
    program = start("load", f"127.0.0.1:{server.port}", "-d", "10m", "-c", "4", "--workers", "2")
    server.wait_for("connected", count=4)
    workers = workers_of(program)
    assert len(workers) == 2
    program.process.kill()
    server.wait_for(r"(?:closed|reset) by peer", count=4)
    wait_until(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers), "the workers to end")


def test_a_rate_that_cannot_be_reached_is_said_and_costs_no_memory(listen: Start, start: Start) -> None:
    server = listen("--echo")
    report = load(
        start, server.port, "-d", "1s", "-c", "2", "--rate", "5M/s", "--timeout", "100ms", "--workers", "1", status=None
    )
    assert any("the rate was not reached" in sentence for sentence in report["verdict"])
    assert report["errors"]["not_sent"] > 100_000


def test_conditions_decide_the_status(listen: Start, start: Start) -> None:
    server = listen("--echo")
    report = load(start, server.port, "-n", "10", "--fail-if", "p99 > 1us", "--fail-if", "errors > 0", status=1)
    assert len(report["failed"]) == 1
    assert re.fullmatch(r"p99 > 1us: [\d.]+[um]?s", report["failed"][0])
    report = load(start, server.port, "-n", "10", "--fail-if", "p99 > 10m")
    assert report["failed"] == []


def test_the_log_is_read_by_another_reader(listen: Start, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "run.hlog"
    report = load(start, listen("--echo").port, "-n", "500", "-c", "5", "--hdr", str(path))
    lines = path.read_text().splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    (latency,) = [line for line in lines if line.startswith("Tag=latency,")]
    histogram = HdrHistogram.decode(latency.rsplit(",", 1)[1])
    assert histogram.total_count == 500
    assert histogram.get_value_at_percentile(50) / 1000 == pytest.approx(report["latency_us"]["p50"], rel=0.001)


def test_a_log_that_cannot_be_written_is_said_before_the_run(listen: Start, start: Start) -> None:
    program = start("load", str(listen("--echo").port), "-d", "10m", "--hdr", "/nowhere/run.hlog")
    assert program.wait() == 1
    assert program.err.decode() == "portside: --hdr /nowhere/run.hlog: No such file or directory\n"


def test_a_full_disk_costs_the_log_and_not_the_report(listen: Start, start: Start) -> None:
    program = start("load", str(listen("--echo").port), "-n", "10", "-c", "1", "--json", "--hdr", "/dev/full")
    assert program.wait() == 1
    assert json.loads(program.out)["replies"] == 10
    assert program.err.decode() == "portside: --hdr /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "it names nobody to connect to"),
        (("8000-8001",), "a server has one port"),
        (("1", "--rate", "5"), "is no rate"),
        (("1", "--reply", "lines:x"), "--reply 'lines:x'"),
        (("1", "--message", "${x}"), "--message"),
        (("1", "--workers", "60", "-c", "2"), "have only 2 connections"),
        (("1", "--fail-if", "p98 > 1ms"), "--fail-if"),
        (("1", "--rate", "5/s", "--think", "1s"), "--think"),
        (("1", "-n", "5", "-d", "5s"), "--messages"),
    ],
)
def test_wrong_usage(start: Start, words: tuple[str, ...], said: str) -> None:
    program = start("load", *words)
    assert program.wait() == 2
    assert said in program.err.decode()


def test_progress_is_for_terminals(listen: Start, start: Start) -> None:
    server = listen("--echo")
    program = start("load", str(server.port), "-n", "10")
    assert program.wait() == 0
    assert program.err.decode() == ""
    command = ["script", "-qec", f"portside load {server.port} -d 1500ms -c 2", "/dev/null"]
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=True, stdin=subprocess.DEVNULL
    )
    assert re.search(r"open  [\d,]+ answers/s  p50 ", shown.stdout)
