"""Streams of events and messages of a real server, over its unix socket."""

import asyncio
import base64
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from api_client import ask, control_path
from conftest import Start
from support import DEADLINE_S, Program, connect, wait_until
from websockets.asyncio.client import unix_connect as connect_async
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect

EVENTS = "/api/v1/events"


def subscribe(server: Program, query: str = "") -> ClientConnection:
    """A subscriber of a server's events."""
    assert server.port
    uri = f"ws://localhost{EVENTS}{query}"
    return unix_connect(str(control_path(server)), uri, compression=None, open_timeout=DEADLINE_S, ping_interval=None)


def lines(subscriber: ClientConnection) -> Iterator[dict[str, Any]]:
    """The events as they come, each with the deadline."""
    while True:
        for line in str(subscriber.recv(DEADLINE_S)).splitlines():
            yield json.loads(line)


def until(subscriber: ClientConnection, event: str, **fields: object) -> list[dict[str, Any]]:
    """The events up to one with such a name and fields."""
    found = []
    for line in lines(subscriber):
        found.append(line)
        if line["event"] == event and fields.items() <= line.items():
            return found
    raise AssertionError


def payload(line: dict[str, Any]) -> bytes:
    return line["text"].encode() if "text" in line else base64.b64decode(line["base64"])


def use(server: Program) -> None:
    """Have events held from now on."""
    assert server.port
    assert ask(server, "/api/v1/server").status == 200


def test_a_subscriber_sees_what_happens_and_the_end(listen: Start) -> None:
    server = listen("--echo")
    with subscribe(server) as subscriber:
        with connect(server.port) as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        found = until(subscriber, "closed")
        assert [line["event"] for line in found] == ["opened", "received", "sent", "half_closed", "closed"]
        assert [line["seq"] for line in found] == list(range(found[0]["seq"], found[0]["seq"] + 5))
        assert (found[1]["text"], found[1]["size"], found[1]["conn"]) == ("hello\n", 6, 1)
        server.signal(signal.SIGINT)
        assert [line["event"] for line in until(subscriber, "stopped")] == ["stopped"]
        with pytest.raises(ConnectionClosed):
            subscriber.recv(DEADLINE_S)
        assert (subscriber.close_code, subscriber.close_reason) == (1001, "the server ends")
    assert server.wait() == 0
    assert server.err == b""


def test_after_a_break_nothing_is_missing(listen: Start) -> None:
    server = listen()
    with connect(server.port) as client:
        with subscribe(server, "?after=0") as subscriber:
            client.sendall(b"one\n")
            last = until(subscriber, "received", text="one\n")[-1]["seq"]
        client.sendall(b"two\n")
        wait_until(lambda: b"two" in server.out, "the line")
        client.sendall(b"three\n")
        with subscribe(server, f"?after={last}") as subscriber:
            found = until(subscriber, "received", text="three\n")
    assert [(line["seq"], line["text"]) for line in found] == [(last + 1, "two\n"), (last + 2, "three\n")]
    # A number of an earlier run: everything that is held.
    with subscribe(server, "?after=1000000") as subscriber:
        assert until(subscriber, "received")[-1]["text"] == "one\n"


def test_what_a_subscriber_may_leave_out(listen: Start) -> None:
    server = listen()
    use(server)
    with connect(server.port) as one, connect(server.port) as two:
        one.sendall(b"x" * 300)
        two.sendall(b"of the second\n")
        wait_until(lambda: b"second" in server.out, "the line")
        wait_until(lambda: server.out.count(b"x") >= 300, "the payload")
    answer = ask(
        server, f"{EVENTS}?after=0&follow=false&payload=head&filter=conn%20%3D%201%20and%20event%20%3D%20received"
    )
    assert answer.headers["content-type"] == "application/jsonl"
    (line,) = map(json.loads, answer.body.splitlines())
    assert (line["size"], line["text"], line["cut"]) == (300, "x" * 256, True)
    answer = ask(server, f"{EVENTS}?after=0&follow=false&payload=none&filter=conn%20%3D%201%20event%20%3D%20received")
    (line,) = map(json.loads, answer.body.splitlines())
    assert line.keys() == {"seq", "event", "at", "conn", "peer", "size"}


@pytest.mark.parametrize("query", ["?filter=evnt%20%3D%20closed", "?payload=some", "?after=-1", "?colour=red"])
def test_a_wrong_parameter_is_told_before_the_stream_begins(listen: Start, query: str) -> None:
    server = listen()
    assert server.port
    plain = ask(server, EVENTS + query)
    assert (plain.status, plain.headers["content-type"]) == (400, "application/problem+json")
    with pytest.raises(InvalidStatus) as refused:
        subscribe(server, query)
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body or b"") == plain.json
    if "filter" in query:
        problem = plain.json
        assert (problem["code"], problem["position"], problem["length"]) == ("filter", 0, 4)
        assert problem["detail"] == "nothing is called 'evnt': did you mean event?"


def test_hostile_payload_arrives_as_it_is_and_harms_nobody(listen: Start) -> None:
    server = listen()
    sent = [
        b"<script>alert(1)</script>",
        b"\x1b]0;title\x07\x1b[2J",
        b"\xc3",
        b"\xa9",
        "\u009b\u202e".encode(),
        b"\0" * 500,
    ]
    with subscribe(server) as subscriber, connect(server.port) as client:
        found = []
        for data in sent:
            client.sendall(data)
            found += until(subscriber, "received")
        frames = [line for line in found if line["event"] == "received"]
        assert list(map(payload, frames)) == sent
        assert ["text" in line for line in frames] == [True, True, False, False, True, True]
        raw = ask(server, f"{EVENTS}?after=0&follow=false").body
        assert raw.decode().replace("\n", "").isprintable()
        raw = ask(server, "/api/v1/connections/1/messages").body
        assert raw.decode().isprintable()
        assert list(map(payload, json.loads(raw)["items"])) == sent


def test_a_line_of_10_mb_is_told_or_told_to_be_missing(listen: Start) -> None:
    server = listen("--format", "raw", stdout=subprocess.DEVNULL)
    with subscribe(server) as subscriber:
        with connect(server.port) as client:
            client.sendall(b"0123456789" * 1_000_000)
        found = until(subscriber, "closed")
    assert found[-1]["received"] == 10_000_000
    missed = sum(line["count"] for line in found if line["event"] == "missed")
    told = [line for line in found if line["event"] != "missed"]
    assert len(told) + missed == found[-1]["seq"] - found[0]["seq"] + (found[0].get("count", 1))
    assert all(len(payload(line)) == line["size"] for line in told if line["event"] == "received")
    newest = ask(server, "/api/v1/connections/1/messages?limit=3").json  # the last read may have a few bytes alone
    assert "".join(item["text"] for item in newest["items"]).endswith("0123456789")
    everything = ask(server, "/api/v1/connections/1/messages?limit=1000").json
    assert sum(item["size"] for item in everything["items"]) <= 1 << 20
    heads = ask(server, "/api/v1/connections/1/messages?limit=1000&payload=head&after=0").json
    assert len(heads["items"]) + heads["missed"] == len([line for line in told if line["event"] == "received"]) + missed


def test_payload_is_seen_where_the_output_leaves_it_out(listen: Start) -> None:
    server = listen("--echo", "--format", "raw")
    with connect(server.port) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        use(server)
        client.sendall(b"after")
        assert client.recv(100) == b"after"
        items = ask(server, "/api/v1/connections/1/messages").json["items"]
        assert [(item["direction"], item["text"]) for item in items] == [("in", "after"), ("out", "after")]
    server.stop()
    assert server.out == b"beforeafter"


def test_messages_of_a_connection_that_is_not_there(listen: Start) -> None:
    server = listen()
    assert server.port
    answer = ask(server, "/api/v1/connections/7/messages")
    assert (answer.status, answer.json["code"]) == (404, "connection")
    with connect(server.port):
        server.wait_for("connected")
        assert ask(server, "/api/v1/connections/1/messages").json == {"items": [], "missed": 0, "next": "0.0"}
    server.wait_for("closed")
    assert ask(server, "/api/v1/connections/1/messages").status == 200
    for query in ("?after=x", "?after=1&before=2", "?limit=0", "?limit=1001", "?contains=%5Cq"):
        assert ask(server, f"/api/v1/connections/1/messages{query}").status == 400


def test_what_a_subscriber_sends_is_ignored_and_bounded(listen: Start) -> None:
    server = listen()
    assert server.port
    with subscribe(server) as subscriber:
        for _ in range(100):
            subscriber.send("ignored")
        with connect(server.port):
            assert until(subscriber, "opened")[-1]["conn"] == 1
        subscriber.send("x" * 5000)
        with pytest.raises(ConnectionClosedError):
            until(subscriber, "never")
        assert subscriber.close_code == 1009


def test_a_reader_over_http_that_goes_away_is_forgotten(listen: Start) -> None:
    server = listen()
    assert server.port
    path = str(control_path(server))
    request = f"GET {EVENTS}?payload=none HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def read_some() -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader:
            reader.settimeout(DEADLINE_S)
            reader.connect(path)
            reader.sendall(request)
            return reader.recv(100)

    for _ in range(450):  # more than streams or clients may be
        status = wait_until(lambda: read_some() or None, "an answer")
        assert status.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
    wait_until(lambda: read_some().startswith(b"HTTP/1.1 200"), "a free stream")


def test_200_subscribers_of_which_one_never_reads(listen: Start) -> None:
    server = listen("--format", "raw", stdout=subprocess.DEVNULL)
    asyncio.run(_crowd(server, server.port))
    assert server.stop() == 0


def _resident_kb(server: Program) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def _crowd(server: Program, port: int) -> None:
    path, uri = str(control_path(server)), f"ws://localhost{EVENTS}"
    subscribe = partial(connect_async, path, compression=None, open_timeout=DEADLINE_S, ping_interval=None)
    readers = [await subscribe(f"{uri}?payload=none", max_queue=None) for _ in range(199)]
    stuck = await subscribe(f"{uri}?payload=all", max_queue=1)
    stuck.transport.pause_reading()
    with pytest.raises(InvalidStatus) as refused:
        await subscribe(uri)
    assert refused.value.response.status_code == 503
    assert json.loads(refused.value.response.body or b"")["code"] == "streams"
    before = _resident_kb(server)
    await asyncio.to_thread(_flood, port)

    async def last_of(reader: Any) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            async for frame in reader:
                for line in map(json.loads, frame.splitlines()):
                    if line["event"] == "closed":
                        return dict(line)
        raise AssertionError

    ends = await asyncio.gather(*map(last_of, readers))
    assert {end["received"] for end in ends} == {64 << 20}
    assert _resident_kb(server) - before < 80 * 1024
    for each in (stuck, *readers):
        each.transport.abort()
    await asyncio.gather(*(each.wait_closed() for each in (stuck, *readers)))


def _flood(port: int) -> None:
    with connect(port) as client:
        for _ in range(64):
            client.sendall((b"x" * 1023 + b"\n") * 1024)
