"""--fault: what a client gets to feel, and what is said of it."""

import errno
import json
import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from certificates import unverified_context
from conftest import Start
from support import (
    DEADLINE_S,
    Program,
    connect,
    fill,
    is_reset_on_connect,
    listening_port,
    memory_kib,
    read_to_end,
    reset,
    wait_until,
)

import portside

LINE = b"x" * 99 + b"\n"
NOISE = random.Random(5).randbytes(300_000)


def read(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (chunk := client.recv(size - len(data))):
        data += chunk
    return bytes(data)


def read_until_reset(client: socket.socket) -> bytes:
    """What comes before the reset; an end in order is a failure."""
    data = bytearray()
    try:
        while chunk := client.recv(1 << 16):
            data += chunk
    except ConnectionResetError:
        return bytes(data)
    raise AssertionError(f"closed in order after {len(data)} bytes")


def faults(server: Program, count: int = 1) -> list[dict[str, Any]]:
    """The first events of faults, when there are so many."""
    server.wait_for('"event":"fault".*\n', count=count)
    return told(server, "fault")


def told(server: Program, kind: str) -> list[dict[str, Any]]:
    whole = bytes(server.out).rpartition(b"\n")[0]
    return [event for event in map(json.loads, whole.splitlines()) if event["event"] == kind]


def closed(server: Program, count: int = 1) -> dict[str, Any]:
    """The end of a connection, when there are so many."""
    server.wait_for('"event":"closed".*\n', count=count)
    return told(server, "closed")[count - 1]


@pytest.fixture
def faulty(listen: Start) -> Iterator[Start]:
    """A server with some faults; whatever they do, it ends in order."""
    started: list[Program] = []

    def start(*specs: str, options: tuple[str, ...] = (), **more: Any) -> Program:
        given = [word for spec in specs for word in ("--fault", spec)]
        started.append(listen("--format", "json", *given, *options, **more))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            assert server.stop() == 0
        assert b"internal error" not in server.err


def test_reset_at_100(faulty: Start) -> None:
    server = faulty("reset at 100", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE * 3)
        assert read_until_reset(client) == LINE
    end = closed(server)
    assert (end["reason"], end["received"], end["sent"]) == ("fault", 100, 100)
    fault = faults(server)[0]
    assert fault["fault"] == "reset"
    assert fault["spec"] == "reset at 100"
    assert (fault["conn"], fault["peer"], fault["offset"]) == (1, end["peer"], 100)


def test_reset_at_100_of_what_goes_out(faulty: Start) -> None:
    server = faulty("reset at 100 out", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE * 3)
        assert read_until_reset(client) == LINE
    end = closed(server)
    assert (end["reason"], end["received"], end["sent"]) == ("fault", 300, 100)


@pytest.mark.parametrize("spec", ["reset", "reset after 100ms"])
def test_reset_in_time(faulty: Start, spec: str) -> None:
    server = faulty(spec, options=("--echo",))
    assert is_reset_on_connect(server.port)
    assert closed(server)["reason"] == "fault"


def test_stall_is_a_zero_window_and_the_kernel_shows_it(faulty: Start) -> None:
    server = faulty("stall", options=("--echo",))
    with connect(server.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        fill(client, 0.3)
        port = client.getsockname()[1]
        here, there = f"127.0.0.1:{port}", f"127.0.0.1:{server.port}"
        between = f"src {here} dst {there}"
        row = wait_until(lambda: [row for row in portside.sockets(between) if row.send_q], "Send-Q")[0]
        ours = portside.sockets(f"src {there} dst {here}")[0]
        assert row.send_q is not None
        assert row.send_q > 100_000
        assert ours.recv_q
        assert not any(event["event"] == "received" for event in server.events)
        assert faults(server)[0]["fault"] == "stall"
        assert memory_kib(server.process.pid) < 100_000
        assert server.stop() == 0
    assert closed(server)["reason"] == "shutdown"


def test_a_stall_ends_and_nothing_is_lost(faulty: Start) -> None:
    server = faulty("stall after 1k for 300ms", options=("--echo",))
    with connect(server.port) as client:
        began = time.monotonic()
        client.sendall(NOISE[:20_000])
        assert read(client, 1024) == NOISE[:1024]
        assert read(client, 18_976) == NOISE[1024:20_000]
        assert time.monotonic() - began >= 0.29
    begun, over = faults(server, 2)
    assert (begun["offset"], begun.get("over"), over["over"]) == (1024, None, True)


def test_a_stall_outwards_is_no_idleness(faulty: Start) -> None:
    server = faulty("stall out for 1s", options=("--echo", "--idle-timeout", "300ms"))
    with connect(server.port) as client:
        client.sendall(LINE)
        assert read(client, 100) == LINE
        assert read_to_end(client) == b""
    assert closed(server)["reason"] == "idle_timeout"


def test_latency_delays_each_direction(faulty: Start) -> None:
    server = faulty("latency 100ms jitter 20ms", options=("--echo",))
    with connect(server.port) as client:
        for _ in range(3):
            began = time.monotonic()
            client.sendall(LINE)
            assert read(client, 100) == LINE
            assert time.monotonic() - began >= 0.16
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert closed(server)["reason"] == "peer_closed"
    assert [fault["direction"] for fault in faults(server, 2)] == ["in", "out"]


def test_the_greeting_is_delayed_too(faulty: Start) -> None:
    server = faulty("latency 200ms out", options=("--greet", "hello"))
    began = time.monotonic()
    with connect(server.port) as client:
        assert read(client, 5) == b"hello"
        assert time.monotonic() - began >= 0.2


def test_end_of_stream_and_close_follow_what_is_delayed(faulty: Start) -> None:
    server = faulty("latency 200ms", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == LINE
    end = closed(server)
    assert (end["reason"], end["received"], end["sent"]) == ("peer_closed", 100, 100)


def test_rate(faulty: Start) -> None:
    server = faulty("rate 1k/s in", options=("--echo",))
    with connect(server.port) as client:
        began = time.monotonic()
        client.sendall(LINE * 5)
        assert read(client, 500) == LINE * 5
        assert time.monotonic() - began >= 0.4
    server.wait_for('"closed"')
    assert max(event["size"] for event in server.events if event["event"] == "received") <= 20


def test_slices_are_the_same_with_the_same_seed(faulty: Start) -> None:
    def sizes(seed: str) -> list[int]:
        server = faulty("slice 1..20 gap 1ms in", options=("--fault-seed", seed))
        with connect(server.port) as client:
            client.sendall(LINE)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
        server.wait_for('"closed"')
        return [event["size"] for event in server.events if event["event"] == "received"]

    once = sizes("7")
    assert sum(once) == 100
    assert max(once) <= 20
    assert sizes("7") == once
    assert sizes("8") != once


def test_each_slice_is_a_segment_of_its_own(faulty: Start) -> None:
    server = faulty("slice 10 gap 5ms out", options=("--greet", "z" * 200))
    with connect(server.port) as client:
        assert read(client, 200) == b"z" * 200
        # struct tcp_info (include/uapi/linux/tcp.h): tcpi_data_segs_in
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        # A kernel that is late to hand one on joins it with the next.
        assert 10 < struct.unpack_from("=I", info, 152)[0] <= 20


def test_much_passes_whole_and_in_order_through_many_faults_at_once(faulty: Start) -> None:
    specs = ["latency 20ms jitter 20ms", "rate 2M/s", "slice 100..5000", "stall in at 100k for 100ms", "drop after 1h"]
    with open(os.devnull, "wb") as null:
        server = faulty(*specs, options=("--echo",), stdout=null)
    port = wait_until(lambda: listening_port(server.process.pid), "the port")
    before = memory_kib(server.process.pid)
    with connect(port) as client:
        client.setblocking(False)
        sent = got = 0
        while got < len(NOISE):
            readable, writable, _ = select.select([client], [client] if sent < len(NOISE) else [], [], DEADLINE_S)
            if writable:
                sent += client.send(NOISE[sent : sent + 50_000])
            if readable:
                chunk = client.recv(1 << 16)
                assert chunk == NOISE[got : got + len(chunk)]
                got += len(chunk)
    assert memory_kib(server.process.pid) - before < 40_000


@pytest.mark.parametrize("spec", ["latency 10ms", "rate 20M/s out", "slice 5000..90000", "stall at 1M for 500ms"])
def test_a_client_that_does_not_read_for_a_while_gets_everything(listen: Start, spec: str) -> None:
    with open(os.devnull, "wb") as null:
        server = listen("--fault", spec, "--echo", stdout=null)
        with connect(wait_until(lambda: listening_port(server.process.pid), "the port")) as client:
            sent = fill(client, 0.7)
            client.shutdown(socket.SHUT_WR)
            assert len(read_to_end(client)) == sent
        assert server.stop() == 0
        assert b"internal error" not in server.err


@pytest.mark.parametrize("spec", ["rate 1k/s", "rate 1k/s out", "latency 1h in", "stall", "stall out"])
def test_what_waits_is_bounded(listen: Start, spec: str) -> None:
    """A client that floods a slow server is not read; the echo to one that does not read is no different."""
    with open(os.devnull, "wb") as null:
        server = listen("--fault", spec, "--echo", stdout=null)
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        before = memory_kib(server.process.pid)
        with connect(port) as client:
            assert fill(client) < 64 << 20
            assert memory_kib(server.process.pid) - before < 40_000  # 16 MiB of which it keeps, and what it imports
            reset(client)
        assert server.stop() == 0


@pytest.mark.parametrize("spec", ["close at 50 out", "limit 50 out", "half-close at 50 out"])
def test_ends_after_so_many_bytes(faulty: Start, spec: str) -> None:
    server = faulty(spec, options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        assert read_to_end(client) == LINE[:50]
    end = closed(server)
    assert end["reason"] == ("peer_closed" if spec.startswith("half") else "fault")
    assert end["sent"] == 50


def test_a_limit_leaves_what_stays_below_alone(faulty: Start) -> None:
    server = faulty("limit 100 in", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        assert read(client, 100) == LINE
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert closed(server)["reason"] == "peer_closed"
    assert told(server, "fault") == []


def test_after_a_half_close_the_client_is_still_heard(faulty: Start) -> None:
    server = faulty("half-close after 100ms", options=("--echo",))
    with connect(server.port) as client:
        assert read_to_end(client) == b""
        client.sendall(LINE)
        server.wait_for('"received"')
    end = closed(server)
    assert (end["reason"], end["received"], end["sent"]) == ("peer_closed", 100, 0)


def test_dropped_bytes_are_in_their_events_and_nowhere_else(faulty: Start) -> None:
    server = faulty("drop at 100", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE * 3)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == LINE
    assert closed(server)["received"] == 100
    assert sum(fault["size"] for fault in faults(server)) == 200
    assert faults(server)[0]["offset"] == 100


def test_corruption_is_the_same_with_the_same_seed(faulty: Start) -> None:
    def echoed(seed: str) -> bytes:
        server = faulty("corrupt 0.01", options=("--echo", "--fault-seed", seed))
        with connect(server.port) as client:
            client.sendall(NOISE[:10_000])
            data = read(client, 10_000)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
        server.wait_for('"closed"')
        changed = sum(a != b for a, b in zip(data, NOISE[:10_000], strict=True))
        assert changed <= sum(fault["size"] for fault in faults(server))
        assert 100 < changed < 300
        return data

    once = echoed("3")
    assert echoed("3") == once
    assert echoed("4") != once


def test_the_seed_is_said_where_chance_has_a_part(listen: Start) -> None:
    server = listen("--fault", "corrupt 0.1")
    assert server.port
    server.wait_for(r"^portside: faults are drawn by chance: --fault-seed \d+ repeats them$", err=True)


def test_refused_is_reset_and_reported(faulty: Start) -> None:
    server = faulty("refuse every=2", options=("--echo", "--max-conns", "1"))
    for count in (1, 2):
        with connect(server.port) as client:
            client.sendall(b"served\n")
            assert read(client, 7) == b"served\n"
        closed(server, count)
        assert is_reset_on_connect(server.port)
        server.wait_for('"refused".*\n', count=count)
    assert [event["reason"] for event in told(server, "refused")] == ["fault", "fault"]


def test_accept_delay_leaves_clients_in_the_backlog(faulty: Start) -> None:
    server = faulty("accept-delay 200ms", options=("--echo",))
    began = time.monotonic()
    with connect(server.port) as one, connect(server.port) as two:
        for number, client in enumerate((one, two), 1):
            client.sendall(LINE)
            assert read(client, 100) == LINE
            assert time.monotonic() - began >= 0.19 * number
    assert faults(server)[0]["fault"] == "accept-delay"
    assert "conn" not in faults(server)[0]


def test_never_accept(faulty: Start) -> None:
    server = faulty("never-accept", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        chosen = f"src 127.0.0.1:{server.port}"
        wait_until(lambda: portside.sockets(chosen, view="listening")[0].recv_q == 1, "one in the queue")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert server.stop() == 0
    assert not any(event["event"] == "opened" for event in server.events)


def test_accepting_again(faulty: Start) -> None:
    server = faulty("never-accept for 300ms", options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        assert read(client, 100) == LINE
    assert [fault.get("over") for fault in faults(server, 2)] == [None, True]


def test_only_the_connections_asked_for(faulty: Start) -> None:
    server = faulty("drop first=1", "reset net=10.0.0.0/8", options=("--echo",))
    with connect(server.port) as one, connect(server.port) as two:
        one.sendall(LINE)
        two.sendall(LINE)
        assert read(two, 100) == LINE
        server.wait_for('"fault"')
    assert [fault["conn"] for fault in faults(server)] == [1]


def test_the_end_of_the_run_waits_for_no_fault(faulty: Start) -> None:
    server = faulty("latency 1h", "stall out", options=("--greet", "hello"))
    with connect(server.port) as client:
        server.wait_for('"fault"')
        began = time.monotonic()
        assert server.stop() == 0
        assert read_to_end(client) == b""
        assert time.monotonic() - began < 60
    assert closed(server)["reason"] == "shutdown"


@pytest.mark.parametrize("spec", ["latency 1h", "rate 1/s", "stall out", "slice 1 gap 1s"])
def test_the_end_of_a_run_that_waits_to_close(faulty: Start, spec: str) -> None:
    server = faulty(spec, options=("--echo",))
    with connect(server.port) as client:
        client.sendall(LINE)
        server.wait_for('"fault"')
        client.shutdown(socket.SHUT_WR)
        assert server.stop() == 0
    assert closed(server)["received"] <= 100


def test_a_client_that_resets_while_its_bytes_are_delayed(faulty: Start) -> None:
    server = faulty("latency 1h in")
    client = connect(server.port)
    client.sendall(LINE)
    server.wait_for('"fault"')
    reset(client)
    end = closed(server)
    assert (end["reason"], end["received"]) == ("peer_reset", 100)


def test_faults_of_the_other_leg(faulty: Start, listen: Start) -> None:
    upstream = listen("--echo", "--format", "json")
    there = f"127.0.0.1:{upstream.port}"
    server = faulty("reset at 50 in upstream", options=("--forward", there))
    with connect(server.port) as client:
        client.sendall(LINE)
        read_until_reset(client)
    fault = faults(server)[0]
    assert (fault["leg"], fault["direction"], fault["conn"]) == ("upstream", "in", 1)
    assert closed(server)["reason"] == "fault"
    assert closed(upstream)["reason"] == "peer_reset"


def test_a_client_reset_by_a_fault_is_reset_upstream(faulty: Start, listen: Start) -> None:
    upstream = listen("--echo", "--format", "json")
    server = faulty("reset at 50 in", options=("--forward", f"127.0.0.1:{upstream.port}"))
    with connect(server.port) as client:
        client.sendall(LINE[:10])
        assert read(client, 10) == LINE[:10]
        client.sendall(LINE)
        read_until_reset(client)
    assert closed(upstream)["reason"] == "peer_reset"


def test_faults_over_tls(faulty: Start) -> None:
    server = faulty("latency 100ms", "reset at 200 out", options=("--tls", "--echo"))
    with connect(server.port) as plain, unverified_context().wrap_socket(plain) as client:
        for _ in range(2):
            began = time.monotonic()
            client.sendall(LINE)
            assert read(client, 100) == LINE
            assert time.monotonic() - began >= 0.2
        # Python's ssl tells a reset as an end; the socket knows better.
        option = socket.SOL_SOCKET, socket.SO_ERROR
        assert wait_until(lambda: client.getsockopt(*option), "the reset") == errno.ECONNRESET
    assert closed(server)["reason"] == "fault"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "latncy 5s"), r"argument --fault: 'latncy' is no fault \(did you mean latency\?\)"),
        (("--fault-seed", "1"), "--fault-seed goes with --fault"),
        (("--fault", "stall upstream"), "a fault upstream goes with --forward"),
    ],
)
def test_what_is_asked_for_wrongly(listen: Start, arguments: tuple[str, ...], words: str) -> None:
    program = listen(*arguments)
    assert program.wait() == 2
    program.wait_for(words, err=True)


def test_faults_in_text(listen: Start) -> None:
    server = listen("--fault", "drop at 4", "--fault", "never-accept after 1h")
    with connect(server.port) as client:
        client.sendall(b"abc\ndef\n")
        server.wait_for(r"  #1 127\.0\.0\.1:\d+  ! fault: drop at 4 \(4 B in, after 4 B\)$")
    server.wait_for("closed by peer after .*, 4 B in, 0 B out$")
