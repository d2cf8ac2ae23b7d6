"""Acts over the control API on a real server, with real clients: what they feel, and what is said of it."""

import json
import random
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from api_client import Answer, ask, page_of
from certificates import unverified_context
from conftest import Start
from support import DEADLINE_S, Program, connect, fill, memory_kib, read_to_end, reset, wait_until

NOISE = random.Random(13).randbytes(2_000_000)
API = "/api/v1/"


def act(server: Program, what: str, body: object = None, method: str = "POST") -> Any:
    """Act on the first connection or, where ``what`` begins with a slash, on that place; what the server answers."""
    path = what[1:] if what.startswith("/") else f"connections/1/{what}"
    answer = ask(server, API + path, method, body)
    assert answer.status == 200, answer
    return answer.json


def refused(server: Program, path: str, body: object = None, method: str = "POST") -> tuple[int, str]:
    """The status and the code of an act that is refused."""
    answer = ask(server, API + path, method, body)
    assert answer.headers["content-type"] == "application/problem+json", answer
    return answer.status, answer.json["code"]


def unread(server: Program) -> int:
    """Bytes in the kernel that the server has not read, as ss shows them, of that client of which there are most."""
    command = ["ss", "-tnH", "state", "established", f"( sport = :{server.port} )"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return max(int(row.split()[0]) for row in rows)


def acts(server: Program, count: int = 0) -> list[tuple[str, str | None]]:
    """What operators did, once so many acts are told."""
    server.wait_for('"event":"act".*\n', count=count)
    return [(event["act"], event.get("detail")) for event in server.events if event["event"] == "act"]


def number_of(server: Program, client: socket.socket) -> int:
    """The number of a client's connection."""
    peer = f"127.0.0.1:{client.getsockname()[1]}"
    server.wait_for(f'"opened".*"peer":"{peer}".*\n')
    return int(next(each["conn"] for each in server.events if each["event"] == "opened" and each["peer"] == peer))


class Relayed:
    """An upstream server that echoes, for --forward."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(1 << 16):
                    client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


@pytest.fixture
def upstream() -> Iterator[Relayed]:
    server = Relayed()
    yield server
    server.close()


@pytest.fixture
def echoing(listen: Start, upstream: Relayed, how: str) -> Program:
    """A server that echoes, in one of several ways."""
    options = {
        "plain": ("--echo",),
        "tls": ("--echo", "--tls"),
        "forward": ("--forward", upstream.address),
        "faults": ("--echo", "--fault", "slice 1..9000", "--fault", "latency 1ms jitter 1ms"),
    }
    return listen("--format", "json", *options[how])


EVERY_WAY = pytest.mark.parametrize("how", ["plain", "tls", "forward", "faults"])


def client_of(server: Program, how: str) -> socket.socket:
    client = connect(server.port)
    if how != "tls":
        return client
    client.settimeout(DEADLINE_S)
    return unverified_context().wrap_socket(client, suppress_ragged_eofs=False)


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Send bytes, read as many."""
    client.sendall(data)
    got = bytearray()
    while len(got) < len(data) and (chunk := client.recv(1 << 16)):
        got += chunk
    return bytes(got)


@EVERY_WAY
def test_a_paused_client_waits_in_the_kernel_and_the_others_go_on(echoing: Program, how: str) -> None:
    with client_of(echoing, how) as client, client_of(echoing, how) as other:
        assert exchange(client, b"first\n") == b"first\n"
        assert exchange(other, b"first\n") == b"first\n"
        assert act(echoing, "pause") == {"conn": 1, "paused": True, "changed": True}
        assert act(echoing, "pause") == {"conn": 1, "paused": True, "changed": False}
        client.sendall(b"waits\n")
        wait_until(lambda: unread(echoing) >= 6, "Recv-Q to grow")
        client.sendall(b"waits\n" * 2)
        wait_until(lambda: unread(echoing) >= 18, "Recv-Q to grow more")
        assert exchange(other, b"served\n") == b"served\n"
        assert not [event for event in echoing.events if event.get("text") == "waits\n"]
        assert act(echoing, "resume") == {"conn": 1, "paused": False, "changed": True}
        assert exchange(client, b"last\n" + b"." * 18)[:18] == b"waits\n" * 3
        assert unread(echoing) == 0


def test_a_paused_client_that_goes_away_is_noticed_when_it_is_read_again(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as gone, connect(server.port) as ended:
        numbers = [number_of(server, each) for each in (gone, ended)]
        for number in numbers:
            act(server, f"/connections/{number}/pause")
        gone.sendall(b"before the reset")
        ended.sendall(b"before the end")
        wait_until(lambda: unread(server) == 16, "both to have sent")
        reset(gone)
        ended.shutdown(socket.SHUT_WR)
        act(server, f"/connections/{numbers[0]}/send", {"text": "to nobody"})
        assert not {"received", "half_closed", "closed"} & {event["event"] for event in server.events}
        for number in numbers:
            act(server, f"/connections/{number}/resume")
        server.wait_for('"closed".*\n', count=2)
    told = {event["conn"]: event for event in server.events if event["event"] == "closed"}
    assert [(told[conn]["reason"], told[conn]["received"]) for conn in numbers] == [
        ("peer_reset", 16),
        ("peer_closed", 14),
    ]


def test_with_a_relay_a_pause_is_of_the_client_alone(listen: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        server = listen("--forward", f"127.0.0.1:{upstream.getsockname()[1]}", "--format", "json")
        with connect(server.port) as client, upstream.accept()[0] as leg:
            leg.settimeout(DEADLINE_S)
            server.wait_for('"forwarded"')
            act(server, "pause")
            client.sendall(b"waits")
            wait_until(lambda: unread(server) == 5, "Recv-Q to grow")
            leg.sendall(b"from upstream")
            assert client.recv(100) == b"from upstream"
            act(server, "resume")
            assert leg.recv(100) == b"waits"


def test_a_client_that_fills_the_kernel_while_it_is_paused_loses_nothing(listen: Start) -> None:
    server = listen("--format", "raw")
    assert server.port
    with connect(server.port) as client, connect(server.port) as other:
        wait_until(lambda: ask(server, f"{API}connections/2/faults").status == 200, "both connections")
        act(server, "pause")
        assert act(server, "/limits", {"idle_timeout": 0.5}, "PATCH")["idle_timeout"] == 0.5
        sent = fill(client, reader=server)
        assert sent > 100_000
        wait_until(lambda: unread(server) > 50_000, "Recv-Q to fill")
        assert other.recv(1) == b""  # idle for too long, and not paused
        assert server.out == b""
        act(server, "resume")
        wait_until(lambda: len(server.out) == sent, "all bytes")


def test_by_hand_to_one_and_to_all(listen: Start) -> None:
    server = listen("--format", "json")
    with (
        connect(server.port) as other,
        subprocess.Popen(["nc", "127.0.0.1", f"{server.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nc,
    ):
        assert nc.stdout
        assert nc.stdin
        server.wait_for('"opened".*\n', count=2)
        others = number_of(server, other)
        mine = ({1, 2} - {others}).pop()
        for body in ({"text": "grüße\n"}, {"hex": "67 72c3bcc39f 65 0a"}, {"base64": "Z3LDvMOfZQo="}):
            answer = act(server, f"/connections/{mine}/send", body)
            assert answer == {"conn": mine, "sent": 8, "buffered": 0}
            assert nc.stdout.readline() == "grüße\n".encode()
        assert act(server, "/broadcast", {"text": "all\n"}) == {"sent": 2, "skipped": 0, "full": [], "ended": []}
        assert nc.stdout.readline() == b"all\n"
        assert other.recv(100) == b"all\n"
        for body in ({}, {"text": "a", "hex": "61"}, {"hex": "6"}, {"base64": "*"}, {"text": ""}, {"hex": "zz"}):
            assert refused(server, f"connections/{mine}/send", body) == (422, "value")
        assert act(server, f"/connections/{others}/close", {"how": "half"})["how"] == "half"
        assert other.recv(1) == b""
        assert refused(server, f"connections/{others}/send", {"text": "late"}) == (409, "sending_ended")
        assert act(server, "/broadcast", {"text": "x\n"})["ended"] == [others]
        assert nc.stdout.readline() == b"x\n"
        other.sendall(b"still heard\n")
        server.wait_for("still heard")
        act(server, f"/connections/{mine}/close", {"how": "reset"})
        nc.stdin.close()
        nc.wait(DEADLINE_S)
    assert [text for kind, text in acts(server, 5) if kind == "broadcast"] == ["4 B to 2 clients", "2 B to 2 clients"]


def test_a_client_that_takes_nothing_costs_bounded_memory(listen: Start) -> None:
    server = listen("--format", "json", "-o", "/dev/null", stdout=subprocess.DEVNULL)
    text = {"text": "x" * 900_000}
    port = server_port(server)
    with connect(port):
        wait_until(lambda: ask(server, f"{API}connections/1/faults").status == 200, "the connection")
        answers = []
        before = None
        for _ in range(60):
            answers.append(ask(server, f"{API}connections/1/send", "POST", text))
            if answers[-1].status == 409 and before is None:
                before = memory_kib(server.process.pid)
        assert answers[0].json == {"conn": 1, "sent": 900_000, "buffered": answers[0].json["buffered"]}
        assert answers[-1].status == 409
        assert answers[-1].json["code"] == "write_buffer_full"
        assert act(server, "/broadcast", text) == {"sent": 0, "skipped": 1, "full": [1], "ended": []}
        assert before is not None
        assert memory_kib(server.process.pid) < before + 8_000


def server_port(server: Program) -> int:
    """The port of a server whose output nobody reads."""
    wait_until(lambda: ask_quietly(server) is not None, "the server")
    answer = ask_quietly(server)
    assert answer is not None
    return int(answer.json["listeners"][0]["address"].rpartition(":")[2])


def ask_quietly(server: Program) -> Answer | None:
    try:
        return ask(server, f"{API}server")
    except OSError:
        return None


@EVERY_WAY
def test_the_three_ways_to_close(echoing: Program, how: str) -> None:
    with client_of(echoing, how) as client:
        assert exchange(client, b"hello") == b"hello"
        assert act(echoing, "close", {"how": "half"}) == {"conn": 1, "how": "half", "buffered": 0}
        assert client.recv(1) == b""
        client.sendall(b"heard")
        echoing.wait_for('"text":"heard"') if how != "faults" else echoing.wait_for('"received"', count=2)
    with client_of(echoing, how) as client:
        assert exchange(client, b"hello") == b"hello"
        act(echoing, "/connections/2/close")
        assert client.recv(1) == b""
    with client_of(echoing, how) as client:
        assert exchange(client, b"hello") == b"hello"
        act(echoing, "/connections/3/close", {"how": "reset"})
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            client.recv(1)
    echoing.wait_for('"closed"', count=3)
    ends = {event["conn"]: event for event in echoing.events if event["event"] == "closed"}
    assert [(ends[conn]["reason"], ends[conn].get("by")) for conn in (2, 3)] == [
        ("local_closed", "operator"),
        ("local_reset", "operator"),
    ]
    assert acts(echoing) == [("close", "half"), ("close", "fin"), ("close", "reset")]


@EVERY_WAY
def test_faults_that_come_and_go_change_no_byte(echoing: Program, how: str) -> None:
    chance = random.Random(7)
    specs = ["latency 20ms", "rate 4M/s", "slice 1000..9000", "stall", "latency 1h", "stall out", "limit 1G"]
    if how == "forward":
        specs += ["latency 30ms upstream", "slice 500 in upstream", "stall upstream", "rate 9M/s both upstream"]
    got = bytearray()
    # Not ncat --ssl: it leaves the rest of a TLS record that is larger than its buffer until more comes.
    over_tls = ["socat", "-", f"OPENSSL:127.0.0.1:{echoing.port},verify=0"]
    command = over_tls if how == "tls" else ["ncat", "127.0.0.1", str(echoing.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        stdin, stdout = peer.stdin, peer.stdout
        assert stdin is not None
        assert stdout is not None

        def read() -> None:
            while chunk := stdout.read1(1 << 16):  # type: ignore[attr-defined]
                got.extend(chunk)

        def write(data: bytes) -> None:
            stdin.write(data)
            stdin.flush()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        write(NOISE[:5])
        wait_until(lambda: len(got) == 5, "the first bytes")
        own = len(act(echoing, "faults", method="GET")["items"])
        present: list[int] = []
        for start in range(5, len(NOISE), 50_000):
            writer = threading.Thread(target=write, args=(NOISE[start : start + 50_000],), daemon=True)
            writer.start()
            if present and chance.random() < 0.5:
                act(echoing, f"faults/{present.pop(chance.randrange(len(present)))}", method="DELETE")
            else:
                present.append(act(echoing, "faults", {"spec": chance.choice(specs)})["id"])
            if chance.random() < 0.3:
                act(echoing, chance.choice(["pause", "resume"]))
            writer.join(0.05)
            while writer.is_alive():  # nothing may pass before something is taken out
                act(echoing, "resume")
                writer.join(0.05)
                if present:
                    act(echoing, f"faults/{present.pop(0)}", method="DELETE")
        act(echoing, "resume")
        for number in present:
            act(echoing, f"faults/{number}", method="DELETE")
        wait_until(lambda: len(got) == len(NOISE), "all bytes")
        assert bytes(got) == NOISE
        assert len(act(echoing, "faults", method="GET")["items"]) == own
        stdin.close()
        reader.join(DEADLINE_S)
    assert bytes(got) == NOISE
    assert sum(kind == "fault" for kind, _ in acts(echoing)) > 30


def test_what_a_fault_holds_passes_on_when_it_is_taken_out(listen: Start) -> None:
    server = listen("--echo", "--format", "json", "--fault", "latency 1h out first=1")
    with connect(server.port) as client:
        client.sendall(b"one")
        server.wait_for('"sent"')
        stall = act(server, "faults", {"spec": "stall for 1h"})
        assert stall["phase"] == "active"
        client.sendall(b"two")
        first, second = act(server, "faults", method="GET")["items"]
        assert (first["spec"], first["by"], first["held"], first["leg"]) == (
            "latency 1h out first=1",
            None,
            3,
            "client",
        )
        assert (second["id"], second["by"], second["held"]) == (stall["id"], "unix uid 0", 0)
        assert act(server, f"faults/{second['id']}", method="DELETE")["spec"] == "stall for 1h"
        server.wait_for('"text":"two"')
        assert act(server, f"faults/{first['id']}", method="DELETE")["held"] == 6
        assert client.recv(100) == b"onetwo"
        assert refused(server, f"connections/1/faults/{first['id']}", method="DELETE") == (404, "unknown_fault")


def test_a_throttle_holds_for_both_directions_and_ends(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect(server.port) as client:
        assert exchange(client, b"fast") == b"fast"
        assert act(server, "throttle", {"rate": "40k/s"}, "PUT") == {"conn": 1, "rate": "40k/s", "fault": 1}
        begun = time.monotonic()
        assert exchange(client, NOISE[:20_480]) == NOISE[:20_480]
        assert time.monotonic() - begun >= 0.45  # of half a second: one step is free
        assert act(server, "throttle", {"rate": "1/s"}, "PUT")["fault"] == 1
        client.sendall(NOISE[:20_480])
        wait_until(lambda: act(server, "faults", method="GET")["items"][0]["held"], "bytes that are held")
        assert act(server, "throttle", method="DELETE") == {"conn": 1, "rate": None, "fault": None}
        assert exchange(client, b"") == b""
        assert exchange(client, b"x" * 20_480)[:20_480] == NOISE[:20_480]
        assert refused(server, "connections/1/throttle", {"rate": "fast"}, "PUT") == (422, "value")
    assert acts(server, 3) == [("throttle", "40k/s"), ("throttle", "1/s"), ("throttle", "off")]


def test_faults_of_the_upstream_leg(listen: Start, upstream: Relayed) -> None:
    server = listen("--forward", upstream.address, "--format", "json")
    with connect(server.port) as client:
        server.wait_for('"forwarded"')
        assert exchange(client, b"hello") == b"hello"
        fault = act(server, "faults", {"spec": "drop in upstream"})
        assert (fault["leg"], fault["phase"]) == ("upstream", "active")
        client.sendall(b"lost")
        server.wait_for('"event":"fault"')
        act(server, f"faults/{fault['id']}", method="DELETE")
        assert exchange(client, b"there") == b"there"
        act(server, "faults", {"spec": "reset at 3 out upstream"})
        client.sendall(b"abcdef")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    server.wait_for('"closed"')
    told = [event for event in server.events if event["event"] == "fault"]
    assert [(each["fault"], each["leg"], each["offset"]) for each in told] == [
        ("drop", "upstream", 5),
        ("reset", "upstream", 5 + 4 + 5 + 3),
    ]
    assert next(event for event in server.events if event["event"] == "closed")["reason"] == "fault"


def test_what_cannot_be_done_has_a_status_and_a_code(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        server.wait_for('"opened"')
        for path, body, method in (
            *(
                ("pause", None, "POST"),
                ("resume", None, "POST"),
                ("close", {}, "POST"),
                ("send", {"text": "x"}, "POST"),
            ),
            *(("throttle", {"rate": "1k/s"}, "PUT"), ("throttle", None, "DELETE"), ("faults", None, "GET")),
            *(("faults", {"spec": "drop"}, "POST"), ("faults/1", None, "DELETE")),
        ):
            assert refused(server, f"connections/2/{path}", body, method) == (404, "unknown_connection")
        for spec in ("nonsense", "refuse", "accept-delay 1s", "latency 1", "drop p=0.5", "reset at"):
            assert refused(server, "connections/1/faults", {"spec": spec}) == (422, "value")
        assert refused(server, "connections/1/faults", {"spec": "drop upstream"}) == (409, "no_upstream")
        unreadable: tuple[object, ...] = ({"spec": "x" * 1000}, {"spec": 5}, {}, [])
        for wrong in unreadable:
            assert ask(server, f"{API}connections/1/faults", "POST", wrong).status == 400
        assert ask(server, f"{API}connections/1/close", "POST", {"how": "gently"}).status == 400
        client.close()
        server.wait_for('"closed"')
        assert refused(server, "connections/1/pause") == (410, "connection_closed")
    assert acts(server) == []


def test_a_misspelt_field_does_nothing_and_is_named(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        number_of(server, client)
        for path, body, words in (
            ("connections/1/close", {"hows": "half"}, "body: there is no field 'hows'; did you mean how?"),
            ("drain", {"witin": "30s"}, "body: there is no field 'witin'; did you mean within?"),
            ("drain", {"colour": "red"}, "body: there is no field 'colour': there are within"),
        ):
            answer = ask(server, API + path, "POST", body)
            assert (answer.status, answer.json["detail"], answer.json["code"]) == (400, words, "field")
        assert acts(server) == []


def test_a_thousand_acts_at_once_while_the_connection_closes(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    ways = [
        ("pause", None), ("resume", None), ("send", {"text": "x"}), ("faults", {"spec": "latency 5ms"}), ("close", {}),
    ]  # fmt: skip
    with connect(server.port) as client, connect(server.port) as other:
        assert exchange(other, b"hello") == b"hello"
        server.wait_for('"opened"', count=2)
        number = number_of(server, client)

        def one(count: int) -> int:
            if count == 500:
                reset(client)
            path, body = ways[count % (4 if count < 500 else 5)]
            return ask(server, f"{API}connections/{number}/{path}", "POST", body).status

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(one, range(1000)))
        assert set(statuses) <= {200, 409, 410}
        assert statuses[-1] == 410
        assert exchange(other, b"still served") == b"still served"
    assert server.err == b""


def test_limits_and_lists_of_a_running_server(listen: Start) -> None:
    server = listen("--format", "json", "--max-conns", "5", "--deny", "10.0.0.0/8")
    assert server.port
    assert act(server, "/limits", method="GET")["max_conns"] == 5
    assert act(server, "/access", method="GET") == {
        "allow": None, "allow_total": 0, "deny": ["10.0.0.0/8"], "deny_total": 1,
    }  # fmt: skip
    with connect(server.port) as client:
        changed = act(
            server, "/limits", {"max_conns": 1, "max_conns_per_ip": None, "half_close_timeout": "1m"}, "PATCH"
        )
        assert changed == {"max_conns": 1, "max_conns_per_ip": None, "idle_timeout": None, "half_close_timeout": 60}
        with connect(server.port) as other:
            assert other.recv(1) == b""
        act(server, "/limits", {"max_conns": "off"}, "PATCH")
        act(server, "/access", {"list": "deny", "net": "127.0.0.1"})
        with connect(server.port) as other:
            assert other.recv(1) == b""
        act(server, "/access?list=deny&net=127.0.0.1", method="DELETE")
        act(server, "/limits", {"idle_timeout": 0.2}, "PATCH")
        assert client.recv(1) == b""
    for body in ({"max_conns": 0}, {"idle_timeout": "soon", "max_conns": 9}, {"max_conns": "many"}):
        assert refused(server, "limits", body, "PATCH") == (422, "value")
    assert act(server, "/limits", method="GET")["max_conns"] is None
    for body in ({"list": "deny", "net": "localhost"}, {"list": "allow", "net": "10.1"}):
        assert refused(server, "access", body) == (422, "value")
    assert refused(server, "access?list=allow&net=::1", method="DELETE") == (404, "unknown_network")
    assert [event["reason"] for event in server.events if event["event"] == "refused"] == ["max_conns", "denied"]
    assert acts(server, 6) == [
        ("limit", "max_conns=1"),
        ("limit", "half_close_timeout=1m"),
        ("limit", "max_conns=off"),
        ("access", "deny 127.0.0.1/32"),
        ("access", "deny 127.0.0.1/32 removed"),
        ("limit", "idle_timeout=0.2"),
    ]


def test_a_drain_ends_with_the_last_client(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect(server.port) as client:
        assert exchange(client, b"here") == b"here"
        assert act(server, "/drain") == {"waiting": 1, "within": None}
        assert refused(server, "drain") == (409, "ending")
        server.wait_for("waits for 1 client: #1", err=True)
        with pytest.raises(ConnectionRefusedError):
            connect(server.port)
        assert exchange(client, b"served to the end") == b"served to the end"
    assert server.wait() == 0
    assert server.events[-1] == {"event": "stopped", "at": server.events[-1]["at"], "reason": "operator"}
    assert acts(server) == [("drain", None)]


def test_a_drain_ends_when_its_time_is_over_or_a_signal_comes(listen: Start) -> None:
    first, second = listen("--echo", "--format", "json"), listen("--echo", "--format", "json")
    with connect(first.port) as client, connect(second.port) as other:
        assert exchange(client, b"here") == exchange(other, b"here")
        assert act(first, "/drain", {"within": "200ms"}) == {"waiting": 1, "within": 0.2}
        assert client.recv(1) == b""
        assert act(second, "/drain", {"within": "1h"})["waiting"] == 1
        assert second.stop() == 0
        assert other.recv(1) == b""
    assert first.wait() == 0
    for server in (first, second):
        assert next(event for event in server.events if event["event"] == "closed")["reason"] == "shutdown"


def test_a_recording_tells_who_did_what(listen: Start, start: Start, tmp_path: Path) -> None:
    server = listen("--echo", "--record", str(tmp_path / "rec"), "--web", "127.0.0.1:0")
    page = page_of(server)
    with connect(server.port) as client:
        assert exchange(client, b"hello") == b"hello"
        for path, body in (("pause", None), ("resume", None), ("faults", {"spec": "latency 1ms"}), ("close", {})):
            assert page.ask(f"{API}connections/1/{path}", "POST", body).status == 200
        assert read_to_end(client) == b""
    assert server.stop() == 0
    shown = start("rec", "show", str(tmp_path / "rec"))
    assert shown.wait() == 0
    by = r"\(web 127\.0\.0\.1:\d+\)"
    words = ["paused", "resumed", "fault latency 1ms put on, number 1", "close fin"]
    for format_, text in (("text", server.out.decode()), ("recorded", shown.out.decode())):
        found = re.findall(rf"#1 127\.0\.0\.1:\d+  operator: (.*) {by}$", text, re.MULTILINE)
        assert found == words, format_
        assert "closed here by the operator after" in text
    listed = start("rec", "list", str(tmp_path / "rec"), "--json")
    assert listed.wait() == 0
    (row,) = listed.events
    assert (row["reason"], row["by"]) == ("local_closed", "operator")
    exported = start("rec", "export", str(tmp_path / "rec"), str(tmp_path / "export.jsonl"))
    assert exported.wait() == 0
    lines = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text().splitlines()]
    assert [line["act"] for line in lines if line["event"] == "act"] == ["pause", "resume", "fault", "close"]
    assert start("rec", "export", str(tmp_path / "rec"), str(tmp_path / "export.pcapng")).wait() == 0
    assert start("rec", "check", str(tmp_path / "rec")).wait() == 0
