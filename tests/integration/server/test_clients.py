"""Who may connect, how connections end, and where the server listens."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import Start
from recording_files import data_of
from support import connect, connect_many, free_port, read_to_end, reset, wait_until

from portside.record.recording import Recording


def closed_reasons(events: list[dict[str, object]]) -> list[object]:
    return [event["reason"] for event in events if event["event"] == "closed"]


def test_a_reset_is_told_apart_from_a_close(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        client.sendall(b"x")
        server.wait_for('"received"')
        reset(client)
    server.wait_for('"closed"')
    server.stop()
    assert closed_reasons(server.events) == ["peer_reset"]


def test_half_close_is_reported_and_answered_by_a_close(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    server.wait_for('"closed"')
    server.stop()
    assert [event["event"] for event in server.events][2:5] == ["received", "half_closed", "closed"]


def test_one_client_more_than_allowed_is_refused_and_the_place_is_free_again(listen: Start) -> None:
    server = listen("--format", "json", "--max-conns", "2")
    with connect_many(2, server.port) as clients:
        server.wait_for('"opened"', count=2)
        with connect(server.port) as third:
            assert read_to_end(third) == b""
        server.wait_for('"refused".*"max_conns"')
        clients[0].close()
        server.wait_for('"closed"')
        with connect(server.port) as fourth:
            fourth.sendall(b"in\n")
            server.wait_for('"in')


def test_clients_of_one_address_are_counted_apart(listen: Start) -> None:
    server = listen("--format", "json", "--max-conns-per-ip", "1", address="0.0.0.0:0")
    with connect(server.port), connect(server.port) as second:
        assert read_to_end(second) == b""
        server.wait_for('"max_conns_per_ip"')
        other = socket.create_connection(("127.0.0.1", server.port), 30, source_address=("127.0.0.2", 0))
        with other:
            server.wait_for('"opened"', count=2)


KEEPALIVE_TIMER = "02"  # proc_net_tcp: tr


@pytest.mark.parametrize(("options", "timer"), [((), KEEPALIVE_TIMER), (("--keepalive", "off"), "00")])
def test_silent_connections_are_probed(listen: Start, options: tuple[str, ...], timer: str) -> None:
    upstream = listen(*options)
    relay = listen("--forward", f"127.0.0.1:{upstream.port}", *options)
    with connect(relay.port):
        upstream.wait_for("connected")
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        accepted = [row for row in rows if row[1].endswith(f":{relay.port:04X}") and row[3] == "01"]
        dialled = [row for row in rows if row[2].endswith(f":{upstream.port:04X}") and row[3] == "01"]
        assert [row[5].split(":")[0] for row in accepted + dialled] == [timer, timer]


@pytest.mark.parametrize(
    ("options", "source", "welcome"),
    [
        (["--allow", "127.0.0.1"], "127.0.0.1", True),
        (["--allow", "127.0.0.1"], "127.0.0.2", False),
        (["--allow", "127.0.0.0/8", "--deny", "127.0.0.2"], "127.0.0.2", False),
        (["--allow", "127.0.0.0/8", "--deny", "127.0.0.2"], "127.0.0.3", True),
        (["--deny", "127.0.0.0/30"], "127.0.0.3", False),
        (["--allow", "localhost"], "127.0.0.1", True),
        (["--allow", "10.0.0.0/8"], "127.0.0.1", False),
        (["--deny", "::ffff:127.0.0.1"], "127.0.0.1", False),
        (["--deny", "::ffff:127.0.0.1"], "127.0.0.2", True),
        (["--deny", "::ffff:127.0.0.0/104"], "127.0.0.1", False),
        (["--deny", "::ffff:7f00:1"], "127.0.0.1", False),
        (["--allow", "::ffff:127.0.0.1"], "127.0.0.1", True),
        (["--allow", "::FFFF:7F00:0/104"], "127.0.0.1", True),
        (["--allow", "::ffff:127.0.0.1"], "127.0.0.2", False),
        (["--allow", "192.0.2.0/24,127.0.0.2"], "127.0.0.2", True),
        (["--deny", "192.0.2.0/24,127.0.0.2"], "127.0.0.2", False),
    ],
)
def test_allow_and_deny(listen: Start, options: list[str], source: str, welcome: bool) -> None:
    server = listen("--format", "json", *options, address="0.0.0.0:0")
    with socket.create_connection(("127.0.0.1", server.port), 30, source_address=(source, 0)) as client:
        if welcome:
            server.wait_for('"opened"')
        else:
            server.wait_for('"refused".*"denied"')
            assert read_to_end(client) == b""


def test_files_of_networks(listen: Start, tmp_path: Path) -> None:
    allowed, denied = tmp_path / "allowed", tmp_path / "denied"
    allowed.write_text("# ours\n192.0.2.0/24, 127.0.0.0/8   # documentation, and all of loopback\n\n,\n")
    denied.write_text("127.0.0.9 ::ffff:127.0.0.10\t127.0.0.11,127.0.0.12#none, of these\n")
    server = listen("--allow-file", str(allowed), "--deny-file", str(denied), "--format", "json", address="0.0.0.0:0")
    refused = [f"127.0.0.{last}" for last in (9, 10, 11, 12)]
    for source, event in (("127.0.0.8", "opened"), *((source, "refused") for source in refused)):
        with socket.create_connection(("127.0.0.1", server.port), 30, source_address=(source, 0)):
            server.wait_for(f'"{event}".*"peer":"{source}:')


def test_an_idle_client_is_closed_and_a_busy_one_is_not(listen: Start) -> None:
    server = listen("--format", "json", "--idle-timeout", "4s")
    with connect_many(2, server.port) as (idle, busy):
        idle.settimeout(0.05)
        while True:
            busy.sendall(b"x")
            try:
                data = idle.recv(1)
            except TimeoutError:
                continue
            except ConnectionResetError:
                data = b""
            assert data == b""
            break
        server.wait_for('"idle_timeout"')
        busy.sendall(b"still here")
        server.wait_for("still here")


def test_every_interface_in_both_families(listen: Start) -> None:
    server = listen(address="0")
    server.wait_for("listening on", count=2)
    with connect(server.port), connect(server.port, "::1"):
        server.wait_for(r"#\d 127\.0\.0\.1:\d+  connected")
        server.wait_for(r"#\d \[::1\]:\d+  connected")


def test_a_signal_that_is_passed_on_twice_is_one(listen: Start) -> None:
    """GNU timeout sends it to its child, and to the group that its child is in."""
    server = listen("--format", "json")
    with connect(server.port) as client:
        server.wait_for('"opened"')
        server.signals_at_once(signal.SIGTERM, signal.SIGINT)
        assert client.recv(1) == b""
    assert server.wait() == 0
    assert server.events[-1]["event"] == "stopped"


def three_free_ports(host: str) -> int:
    """The first of three in a row; below those that the kernel gives to clients."""
    for first in range(20_000, 32_000, 3):
        with ExitStack() as trial:
            try:
                for port in range(first, first + 3):
                    trial.enter_context(socket.create_server((host, port)))
            except OSError:
                continue
            return first
    raise AssertionError("no three free ports")


def test_several_addresses_and_a_range(start: Start) -> None:
    free = three_free_ports("127.0.0.2")
    server = start("listen", "127.0.0.1:0", f"127.0.0.2:{free}-{free + 2}", "[::1]:0")
    server.wait_for("listening on", count=5)
    for port in range(free, free + 3):
        with socket.create_connection(("127.0.0.2", port), 30):
            server.wait_for(r"127\.0\.0\.1:\d+  connected", count=port - free + 1)


def test_unix_sockets(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    name = f"portside-test-{os.getpid()}"
    server = start("listen", f"unix:{path}", f"unix:@{name}", "--format", "json")
    server.wait_for('"listening"', count=2)
    for address in (str(path), f"\0{name}"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
            client.sendall(b"hello\n")
            server.wait_for("hello")
    server.wait_for('"closed"', count=2)
    second = start("listen", f"unix:{path}")
    assert second.wait() == 1
    assert b"Address already in use" in second.err
    assert path.exists()
    server.stop()
    assert not path.exists()
    assert f"unix:pid={os.getpid()}" in server.out.decode()


@pytest.mark.parametrize("form", ["text", "json", "hex", "classic", "raw"])
def test_paths_that_are_no_utf8_cost_no_other_client_its_events(start: Start, tmp_path: Path, form: str) -> None:
    folder = os.fsencode(tmp_path)
    ours, theirs = folder + b"/s\xff", folder + b"/c\xfe"
    server = start(
        "listen", f"unix:{os.fsdecode(ours)}", "127.0.0.1:0", "--format", form, "--record", f"{tmp_path}/r",
        "-o", f"{tmp_path}/o.jsonl",
    )  # fmt: skip
    server.wait_for(r"istening on 127|127\.0\.0\.1:\d", err=form == "raw")
    port = int(re.findall(rb"127\.0\.0\.1:(\d+)", server.err if form == "raw" else server.out)[0])
    with socket.socket(socket.AF_UNIX) as by_path, connect(port) as other:
        by_path.bind(theirs)
        by_path.connect(ours)
        for client in (by_path, other):
            client.sendall(b"hello\n")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
    assert server.stop() == 0
    assert b"cannot" not in server.err
    assert b"error" not in server.err
    with Recording(f"{tmp_path}/r") as recording:
        peers = {str(record.peer) for record in recording.connections()}
        assert {each.split("/")[-1] for each in peers if each.startswith("unix:")} == {"c\\xfe"}
    assert [data_of(tmp_path / "r", conn) for conn in (1, 2)] == [(b"hello\n", b"")] * 2
    written = [json.loads(line) for line in Path(f"{tmp_path}/o.jsonl").read_text("utf-8").splitlines()]
    assert sum(event["event"] == "received" for event in written) == 2
    assert {event["address"] for event in written if event["event"] == "listening"} == {
        f"unix:{tmp_path}/s\\xff",
        f"127.0.0.1:{port}",
    }


def test_a_stale_unix_socket_is_replaced_and_another_file_is_not(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    server = start("listen", f"unix:{path}")
    server.wait_for("listening")
    server.kill()
    assert path.exists()
    again = start("listen", f"unix:{path}")
    again.wait_for("listening")
    again.stop()
    path.write_text("precious")
    refused = start("listen", f"unix:{path}")
    assert refused.wait() == 1
    assert path.read_text() == "precious"


def test_a_restart_at_once_binds(start: Start) -> None:
    port = free_port()
    server = start("listen", f"127.0.0.1:{port}")
    server.wait_for("listening")
    with connect(port) as client:
        server.wait_for("connected")
        assert server.stop() == 0  # our side closes first: TIME_WAIT is here
        assert read_to_end(client) == b""
    again = start("listen", f"127.0.0.1:{port}")
    again.wait_for("listening")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_order(listen: Start, number: int) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        client.sendall(b"x")
        server.wait_for('"received"')
        server.signal(number)
        assert read_to_end(client) == b""
    assert server.wait() == 0
    assert closed_reasons(server.events) == ["shutdown"]
    assert not server.err


def test_drain_waits_for_clients_and_takes_no_new_ones(listen: Start) -> None:
    server = listen("--drain", "20s", "--format", "json")
    port = server.port
    with connect(port) as client:
        server.wait_for('"opened"')
        server.signal(signal.SIGTERM)
        wait_until(lambda: _refuses(port), "the port to be closed")
        peer = "{}:{}".format(*client.getsockname())
        server.wait_for(f"waits up to 20s for 1 client: #1 {peer}$", err=True)
        client.sendall(b"last words")
        server.wait_for("last words")
    assert server.wait() == 0
    assert "shutdown" not in closed_reasons(server.events)


def test_drain_of_many_clients_names_some_and_of_none_nobody(listen: Start) -> None:
    server = listen("--drain", "20s", "--format", "json")
    with connect_many(11, server.port):
        server.wait_for('"opened"', count=11)
        server.signal(signal.SIGTERM)
        server.wait_for(r"for 11 clients: #1 [^#]*, #2 .*, #8 [^#]*, and 3 more$", err=True)
    assert server.wait() == 0
    idle = listen("--drain", "20s", "--format", "json")
    idle.wait_for("listening")
    idle.signal(signal.SIGTERM)
    assert idle.wait() == 0
    assert not idle.err


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_signal_ends_a_drain_at_once(listen: Start) -> None:
    server = listen("--drain", "1h")
    with connect(server.port):
        server.wait_for("connected")
        port = server.port
        server.signal(signal.SIGTERM)
        wait_until(lambda: _refuses(port), "the port to be closed")
        server.signal_until_end(signal.SIGINT)
        assert server.wait() == 1


def test_once_ends_with_the_way_its_client_ended(listen: Start, tmp_path: Path) -> None:
    source, copy = tmp_path / "file", tmp_path / "copy"
    source.write_bytes(os.urandom(3_000_000))
    with copy.open("wb") as out:
        server = listen("--once", "--format", "raw", stdout=out)
        with source.open("rb") as file:
            subprocess.run(["nc", "-N", "127.0.0.1", str(server.port)], stdin=file, check=True, timeout=30)
        assert server.wait() == 0
    assert copy.read_bytes() == source.read_bytes()
    other = listen("--once")
    client = connect(other.port)
    client.sendall(b"x\n")
    other.wait_for("> x")
    reset(client)
    assert other.wait() == 1


def test_once_takes_one_client_only(listen: Start) -> None:
    server = listen("--once")
    port = server.port
    with connect(port):
        server.wait_for("connected")
        wait_until(lambda: _refuses(port), "the port to be closed")
