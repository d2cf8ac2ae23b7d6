"""``portside.sync``: the same servers and connections, for programs without a loop."""

import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Start
from support import connect

import portside
from portside import sync


def shout(connection: sync.Connection) -> None:
    for line in connection.lines():
        connection.send(line.upper())


def test_a_server_and_a_connection_without_a_loop() -> None:
    with portside.sync.listen("127.0.0.1:0", handler=shout) as server:
        assert server.addresses == (f"127.0.0.1:{server.port}",)
        with portside.sync.connect(server.port) as client:
            client.send(b"one\ntwo\n")
            lines = client.lines()
            assert [next(lines), next(lines)] == [b"ONE\n", b"TWO\n"]
            assert client.kernel().local == client.local
            client.send(b"thr")
            client.half_close()
            assert list(client.frames("fixed:2")) == [b"TH", b"R"]
            (connection,) = server.connections or (None,)
            assert connection is None or connection.peer == client.local
        assert client.transcript.sent == b"one\ntwo\nthr"
        assert client.is_closed
        assert client.closed_by == "peer"
        assert repr(client).startswith("<portside.sync.Connection #1 127.0.0.1:")


def test_the_program_accepts_and_sees_events() -> None:
    with portside.sync.listen("127.0.0.1:0") as server:
        events = server.events()
        with portside.sync.connect(server.port, tls=False) as client:
            connection = server.accept()
            client.send(b"ping")
            assert connection.receive() == b"ping"
            connection.reset()
            with pytest.raises(ConnectionResetError):
                client.receive()
        seen = []
        for event in events:
            seen.append(event.event)
            if event.event == "closed":
                break
        assert seen == ["opened", "received", "closed"]
    assert server.is_closed
    with pytest.raises(ConnectionAbortedError):
        server.accept()


def test_failures_are_those_of_the_command() -> None:
    with portside.sync.listen("127.0.0.1:0") as server:
        port = server.port
    with pytest.raises(portside.PortsideError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        portside.sync.connect(f"127.0.0.1:{port}")
    with pytest.raises(portside.UsageError, match="--echo and --chat exclude each other"):
        portside.sync.listen("127.0.0.1:0", echo=True, chat=True)


def test_calls_have_a_timeout_and_may_be_repeated() -> None:
    with portside.sync.listen("127.0.0.1:0") as server, portside.sync.connect(server.port) as client:
        client.settimeout(0.01)
        assert client.gettimeout() == 0.01
        for wait in (client.receive, lambda: next(client.lines()), client.wait_closed):
            with pytest.raises(TimeoutError, match=r"not done within 0\.01s"):
                wait()
        client.settimeout(30)
        server.accept().send(b"at last\n")
        assert next(client.lines()) == b"at last\n"


def test_many_threads_at_once() -> None:
    with portside.sync.listen("127.0.0.1:0", handler=shout) as server:

        def talk(number: int) -> bytes:
            with portside.sync.connect(server.port) as client:
                client.send(b"thread %d\n" % number)
                return next(client.lines())

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(talk, range(40))) == [b"THREAD %d\n" % number for number in range(40)]
        with portside.sync.connect(server.port) as shared, ThreadPoolExecutor(8) as pool:
            list(pool.map(shared.send, [b"x\n"] * 100))
            lines = shared.lines()
            assert [next(lines) for _ in range(100)] == [b"X\n"] * 100


def test_one_thread_for_all() -> None:
    with portside.sync.listen("127.0.0.1:0") as one, portside.sync.listen("127.0.0.1:0") as two:
        with portside.sync.connect(one.port), portside.sync.connect(two.port):
            assert len([each for each in threading.enumerate() if each.name == "portside.sync"]) == 1


INTERRUPTED = """
import portside
with portside.sync.listen("127.0.0.1:0") as server, portside.sync.connect(server.port) as client:
    connection = server.accept()
    try:
        print("waiting", flush=True)
        client.receive()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    connection.send(b"later")
    print(client.receive().decode(), flush=True)
print("closed", flush=True)
"""


def test_ctrl_c_ends_the_call_that_waits_and_no_more(start: Start) -> None:
    program = start(command=(sys.executable, "-c", INTERRUPTED))
    program.wait_for("waiting")
    program.signal(signal.SIGINT)
    program.wait_for("interrupted")
    assert program.wait() == 0
    assert program.lines == ["waiting", "interrupted", "later", "closed"]
    assert program.err == b""


FORKED = """
import os, portside
def shout(connection):
    for line in connection.lines():
        connection.send(line.upper())
server = portside.sync.listen("127.0.0.1:0", handler=shout)
client = portside.sync.connect(server.port)
child = os.fork()
if not child:
    try:
        client.send(b"x")
    except portside.PortsideError as error:
        print(error, flush=True)
    with portside.sync.connect(server.port) as own:
        own.send(b"child\\n")
        print(next(own.lines()), flush=True)
    del client, server
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
client.send(b"parent\\n")
print(next(client.lines()), flush=True)
client.close()
server.close()
"""


def test_a_child_that_was_forked_opens_its_own_and_disturbs_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "portside.sync: this process was forked, and its parent has opened that",
        "b'CHILD\\n'",
        "0",
        "b'PARENT\\n'",
    ]


def test_a_handler_that_raises_costs_its_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    def handler(_connection: sync.Connection) -> None:
        raise LookupError("no such thing")

    with portside.sync.listen("127.0.0.1:0", handler=handler) as server:
        with portside.sync.connect(server.port) as client:
            assert client.receive() == b""
    assert "a handler of portside.listen raised an exception" in caplog.text


def test_connections_of_the_machine_are_watched() -> None:
    with portside.sync.listen("127.0.0.1:0") as server:
        with portside.sync.watch(f"dport = :{server.port}", interval="10ms") as events:
            with portside.sync.connect(server.port) as client:  # the look at what is there already has been taken
                pass
            event = next(events)
        assert isinstance(event, portside.SocketEvent)
        assert event.socket.remote == client.peer
        assert list(events) == []
        events.close()
    with pytest.raises(portside.FilterError):
        portside.sync.watch("spotr = 1")


def test_a_running_server_is_controlled(listen: Start) -> None:
    server = listen("--echo")
    control = portside.sync.Control(server.process.pid)
    with connect(server.port) as one, connect(server.port) as two:
        server.wait_for("connected", count=2)
        assert control.server()["pid"] == server.process.pid
        assert [each["conn"] for each in control.connections(sort="-conn")] == [2, 1]
        with control.events(payload="all") as events:
            events.settimeout(60)
            assert control.send(1, b"hi")["sent"] == 2
            sent = next(event for event in events if isinstance(event, portside.Sent))
            assert (sent.conn, sent.data) == (1, b"hi")
        assert one.recv(10) == b"hi"
        assert control.limits(max_conns=2)["max_conns"] == 2
        control.close(2, "reset")
        with pytest.raises(ConnectionResetError):
            two.recv(10)
        control.drain(within="60s")
        one.shutdown(socket.SHUT_WR)
        assert one.recv(10) == b""
    assert server.wait() == 0
    with pytest.raises(portside.PortsideError):
        control.server()


def test_a_control_says_what_is_wrong_and_waits_as_long_as_it_may(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    control = portside.sync.Control(server.process.pid)
    with pytest.raises(portside.PortsideError, match="7"):
        control.send(7, b"x")
    with pytest.raises(portside.FilterError, match="spotr"):
        next(control.connections("spotr = 1"))
    with pytest.raises(portside.FilterError, match="spotr"), control.events("spotr = 1"):
        pass
    with control.events() as events:
        events.settimeout(0.01)
        with pytest.raises(TimeoutError, match=r"not done within 0\.01s"):
            next(events)


def test_waiting_on_the_loops_own_thread_is_refused() -> None:
    with portside.sync.listen("127.0.0.1:0") as server:
        thread = server._thread

        async def waits() -> None:
            server.accept()

        with pytest.raises(RuntimeError, match="nothing may wait"):
            thread.call(waits())


def test_a_program_that_ends_with_all_open_ends_at_once() -> None:
    code = (
        "import portside, time; s = portside.sync.listen('127.0.0.1:0', handler=lambda c: c.receive());"
        "c = portside.sync.connect(s.port); print('open')"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "open\n")
    assert time.monotonic() - began < 30
