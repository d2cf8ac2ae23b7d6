"""Connections over the control API: real clients, and what the kernel, the server and this test know of them."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from api_client import ask, page_of
from certificates import unverified_context
from conftest import Start
from support import DEADLINE_S, Program, connect, connect_many, fill, read_to_end, reset, wait_until

from portside.control.byte_counts import count_bytes
from portside.server.leg import Leg
from portside.wire.proxy_header import encode_v1

API = "/api/v1/connections"


def listed(server: Program, **query: object) -> Any:
    answer = ask(server, f"{API}?{urlencode(query)}")
    assert answer.status == 200, answer.body
    return answer.json


def one(server: Program, conn: int = 1) -> Any:
    answer = ask(server, f"{API}/{conn}")
    assert answer.status == 200, answer.body
    return answer.json


def opened(server: Program, count: int) -> list[dict[str, Any]]:
    """The events ``opened`` of so many clients."""
    server.wait_for(r'"event":"opened"', count=count)
    return [event for event in server.events if event["event"] == "opened"]


def test_the_list_agrees_with_the_events(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect_many(3, server.port) as clients:
        clients[1].sendall(b"hello")
        assert clients[1].recv(100) == b"hello"
        events = opened(server, 3)
        page = listed(server)
        assert [(item["conn"], item["peer"], item["local"]) for item in page["items"]] == [
            (event["conn"], event["peer"], event["local"]) for event in events
        ]
        for item, event in zip(page["items"], events, strict=True):
            apart = datetime.fromisoformat(item["opened"]) - datetime.fromisoformat(event["at"])
            assert abs(apart) < timedelta(seconds=10)
        second = page["items"][1]
        assert (second["received"], second["sent"], second["state"], second["holds"]) == (5, 5, "open", [])
        assert 0 <= second["idle"] <= second["age"]
        assert (page["total"], page["totals"]["received"], page["totals"]["sent"]) == (3, 5, 5)
        assert page["next"] is None


def test_filter_sort_and_pages_over_http(listen: Start) -> None:
    server = listen("--format", "json")
    with connect_many(7, server.port) as clients:
        for number, client in enumerate(clients):
            client.sendall(b"x" * number)
        wait_until(lambda: listed(server)["totals"]["received"] == 21, "all bytes")
        some = listed(server, filter="received > 2 and not conn = 5", sort="-received", fields="received")
        assert [item["received"] for item in some["items"]] == [6, 5, 3]
        assert set(some["items"][0]) == {"conn", "received"}
        assert (some["total"], some["totals"]["received"]) == (3, 14)
        for sort in ("conn", "-received", "peer", "-age", "idle", "-recvq"):
            seen: list[int] = []
            after: dict[str, str] = {}
            while True:
                page = listed(server, sort=sort, limit=3, fields="conn", **after)
                seen += [item["conn"] for item in page["items"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert sorted(seen) == list(range(1, 8)), sort
        middle = listed(server, sort="-received", limit=2, offset=3, fields="received")
        assert [item["received"] for item in middle["items"]] == [3, 2]
        assert listed(server, offset=7)["items"] == []


def test_what_is_wrong_in_a_request_is_said_with_its_place(listen: Start) -> None:
    server = listen()
    assert server.port

    def problem(**query: object) -> tuple[Any, ...]:
        answer = ask(server, f"{API}?{urlencode(query)}")
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json
        return answer.status, told["code"], told.get("position"), told.get("length"), told["detail"]

    assert problem(filter="conn 1 and idel > 3") == (
        400,
        "filter",
        11,
        4,
        "nothing is called 'idel': did you mean idle?",
    )
    assert problem(filter="idle > soon")[:4] == (400, "filter", 7, 4)
    assert problem(sort="recieved")[:2] == (400, "column")
    assert problem(fields="recieved")[:2] == (400, "column")
    assert problem(after="nonsense")[:2] == (400, "after")
    assert ask(server, f"{API}?limit=0").status == ask(server, f"{API}?state=half").status == 400
    for path in (f"{API}/99", f"{API}/99/history"):
        assert (ask(server, path).status, ask(server, path).json["code"]) == (404, "connection")
    assert ask(server, f"{API}/99", "PATCH", {"note": "x"}).status == 404


def test_a_closed_connection_is_kept_with_its_reason(listen: Start) -> None:
    server = listen("--format", "json")
    assert server.port
    assert listed(server)["items"] == []  # from the first look on
    with connect(server.port) as client:
        client.sendall(b"123")
        server.wait_for('"event":"received"')
    reset(connect(server.port))
    server.wait_for('"event":"closed"', count=2)
    assert listed(server)["total"] == 0
    closed = listed(server, state="closed", sort="-closed")["items"]
    events = {event["conn"]: event for event in server.events if event["event"] == "closed"}
    assert sorted(item["conn"] for item in closed) == [1, 2]
    for item in closed:
        event = events[item["conn"]]
        assert (item["reason"], item["received"], item["state"], item["idle"]) == (
            event["reason"], event["received"], "closed", None,
        )  # fmt: skip
        assert event["duration"] - 0.001 <= item["age"] < event["duration"] + 10
    with connect(server.port):
        server.wait_for('"event":"opened"', count=3)
        assert [item["conn"] for item in listed(server, state="all", filter="received < 3")["items"]] == [2, 3]
    told = one(server, 1)
    assert (told["kernel"], told["bytes"], told["gaps"]["bytes"]) == (None, None, "the connection is closed")


def test_where_the_bytes_of_a_client_are_that_does_not_read(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect(server.port) as client:
        sent = fill(client, reader=server)  # it comes back until nothing moves any more
        told = one(server)
        count, kernel = told["bytes"], told["kernel"]
        assert count["in"]["received_by_kernel"] == count["in"]["recv_q"] + count["in"]["read"]
        assert count["in"]["read"] == told["received"]
        assert count["in"]["recv_q"] == kernel["recv_q"] > 0
        out = count["out"]
        assert out["written"] == out["buffered"] + out["unsent"] + out["unacked"] + out["acked"] == told["sent"]
        assert out["buffered"] == told["buffered"] > 0
        assert out["unsent"] + out["unacked"] == kernel["send_q"] > 0
        assert told["holds"] == ["flow"]
        assert told["write_paused"]
        # The kernel's own count of what has left it, which was not used above.
        first_time = kernel["info"]["bytes_sent"] - kernel["info"]["bytes_retrans"]
        assert out["unacked"] + out["acked"] == first_time
        # And this side of the connection.
        assert told["peer_socket"]["recv_q"] == out["acked"]
        item = listed(server, filter="recvq > 0 and hold = flow", fields="recv_q,send_q")["items"][0]
        assert item["kernel"] == {"recv_q": kernel["recv_q"], "send_q": kernel["send_q"]}

        got = 0
        while got < sent:
            got += len(client.recv(1 << 20))
        at_rest = wait_until(
            lambda: (told := one(server))["bytes"]["out"]["acked"] == sent and told, "all acknowledged"
        )
        assert at_rest["bytes"] == {
            "in": {"received_by_kernel": sent, "recv_q": 0, "read": sent},
            "out": {"written": sent, "buffered": 0, "unsent": 0, "unacked": 0, "acked": sent},
        }
        client.shutdown(socket.SHUT_WR)  # a FIN is a byte to the kernel, and none here
        assert read_to_end(client) == b""


def test_what_waits_for_a_paused_reader(listen: Start) -> None:
    server = listen("--format", "json")
    with connect_many(2, server.port) as clients:
        opened(server, 2)
        assert ask(server, f"{API}/1/pause", "POST").status == 200
        for client in clients:
            client.sendall(b"x" * 1000)
        wait_until(lambda: listed(server)["totals"]["received"] == 1000, "what the other one sent")
        paused = wait_until(lambda: listed(server, filter="recvq > 0", fields="holds,recv_q")["items"], "a queue")
        assert paused == [{"conn": 1, "holds": ["operator"], "kernel": {"recv_q": 1000}}]
        told = one(server)
        assert told["bytes"]["in"] == {"received_by_kernel": 1000, "recv_q": 1000, "read": 0}
        assert [item["conn"] for item in listed(server, filter="hold = operator")["items"]] == [1]
        assert ask(server, f"{API}/1/resume", "POST").status == 200
        at_rest = wait_until(lambda: (told := one(server))["received"] == 1000 and told, "the rest")
        assert at_rest["bytes"]["in"] == {"received_by_kernel": 1000, "recv_q": 0, "read": 1000}


def test_nothing_is_loaded_or_kept_before_somebody_looks(listen: Start) -> None:
    server = listen("--format", "json")
    maps = Path(f"/proc/{server.process.pid}/maps")
    with connect(server.port):
        opened(server, 1)
        assert "_multiarray_umath" not in maps.read_text()  # numpy
    server.wait_for('"event":"closed"')
    assert listed(server, state="all")["items"] == []
    assert "_multiarray_umath" in maps.read_text()


class _Accepted(Leg):
    """A leg over a plain socket, which has no transport."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock

    @property
    def fd(self) -> int:
        return self._sock.fileno()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client, and the socket that its server accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(listener.getsockname()[1]) as client:
        accepted, _ = listener.accept()
        with accepted:
            yield client, accepted


def test_no_fin_is_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    leg = _Accepted(accepted)

    def numbers() -> tuple[int, ...]:
        count = count_bytes(leg)
        assert count is not None
        into, out = count.incoming, count.outgoing
        return into.received_by_kernel, into.recv_q, into.read, out.written, out.unsent, out.unacked, out.acked

    assert numbers() == (0, 0, 0, 0, 0, 0, 0)
    client.sendall(b"x" * 100)
    client.shutdown(socket.SHUT_WR)
    wait_until(lambda: numbers()[0] == 100, "100 bytes")
    assert numbers() == (100, 100, 0, 0, 0, 0, 0)
    assert len(accepted.recv(30)) == 30
    assert numbers() == (100, 70, 30, 0, 0, 0, 0)
    assert len(accepted.recv(100)) == 70
    assert accepted.recv(100) == b""
    assert numbers() == (100, 0, 100, 0, 0, 0, 0)


def test_no_fin_of_ours_is_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    accepted.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += accepted.send(b"x" * (1 << 16))
    accepted.shutdown(socket.SHUT_WR)  # behind what is not sent yet
    leg = _Accepted(accepted)

    def written() -> tuple[int, int, int]:
        count = count_bytes(leg)
        assert count is not None
        return count.outgoing.written, count.outgoing.unsent + count.outgoing.unacked, count.outgoing.acked

    assert written()[0] == sent
    assert written()[1] > 0
    got = 0
    while got < sent:
        got += len(client.recv(1 << 20))
    wait_until(lambda: written() == (sent, 0, sent), "all acknowledged")


def test_who_holds_the_other_end(listen: Start) -> None:
    server = listen("--format", "json")
    with subprocess.Popen(["nc", "127.0.0.1", str(server.port)], stdin=subprocess.PIPE) as nc:
        try:
            opened(server, 1)
            with connect(server.port):
                opened(server, 2)
                items = listed(server, fields="owners", sort="program")["items"]
                owners = {item["conn"]: item["owners"] for item in items}
                assert {"pid": nc.pid, "program": "nc", "command": f"nc 127.0.0.1 {server.port}"} in owners[1]
                assert list(owners) == sorted(owners, key=lambda conn: str(owners[conn][0]["program"]))
                assert [item["conn"] for item in listed(server, filter="program = nc")["items"]] == [1]
                assert [item["conn"] for item in listed(server, filter=f"pid = {nc.pid}")["items"]] == [1]
                assert [item["conn"] for item in listed(server, filter="not program = nc")["items"]] == [2]
            told = one(server)
            assert nc.pid in [owner["pid"] for owner in told["peer_socket"]["owners"]]
            assert server.process.pid in [owner["pid"] for owner in told["kernel"]["owners"]]
            assert (told["peer_socket"]["local"], told["kernel"]["remote"]) == (told["peer"], told["peer"])
        finally:
            nc.kill()


def test_history_has_a_row_a_second_and_goes_on_after_the_end(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect(server.port) as client:
        client.sendall(b"hello")
        opened(server, 1)
        columns: list[str] = []

        def rows() -> list[list[Any]]:
            table = ask(server, f"{API}/1/history").json
            columns[:] = table["columns"]
            return list(table["rows"])

        first = wait_until(lambda: rows() if len(rows()) >= 3 else None, "three rows")
        seconds = [row[0] for row in first]
        assert len(set(seconds)) == len(seconds)
        assert all(second.endswith(".000000Z") for second in seconds)
        last = dict(zip(columns, first[-1], strict=True))
        assert (last["state"], last["received"], last["sent"], last["bytes_received"]) == ("ESTABLISHED", 5, 5, 5)
        since = ask(server, f"{API}/1/history?since={seconds[1]}").json["rows"]
        assert since[0][0] > seconds[1]
        assert [row for row in since if row[0] <= seconds[-1]] == first[2:]
        fill(client, reader=server)
        wait_until(lambda: dict(zip(columns, rows()[-1], strict=True))["recv_q"] > 0, "a queue in the history")
    server.wait_for('"event":"closed"')
    assert len(rows()) >= 3
    assert ask(server, f"{API}/1/history?since=yesterday").json["code"] == "since"


def test_the_accept_queue_of_a_listener(listen: Start) -> None:
    server = listen("--backlog", "5", "--fault", "never-accept")
    assert server.port
    with connect_many(3, server.port):

        def listener() -> Any:
            (item,) = ask(server, "/api/v1/listeners?since=1m").json["items"]
            return item

        item = wait_until(lambda: (item := listener())["accept_queue"] == 3 and item, "three in the queue")
        assert (item["address"], item["accept_queue_limit"], item["drops"]) == (f"127.0.0.1:{server.port}", 5, 0)
        wait_until(lambda: any(row[1] == 3 for row in listener()["history"]["rows"]), "the queue over time")
        assert listener()["history"]["columns"] == ["at", "accept_queue", "accept_queue_limit", "drops"]


def test_the_idle_time_of_a_client_that_was_there_before_anybody_looked(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect_many(2, server.port) as clients:
        opened(server, 2)
        wait_until(lambda: socket_age(server) > 300, "300 ms")
        clients[1].sendall(b"x")
        assert clients[1].recv(1) == b"x"
        listed(server)
        quiet, busy = listed(server)["items"]
        assert quiet["idle"] >= 0.3
        assert busy["idle"] < quiet["idle"]


def socket_age(server: Program) -> int:
    """Milliseconds since a client's last data, by ss."""
    out = subprocess.run(["ss", "-tinH", f"sport = :{server.port}"], check=True, capture_output=True, text=True).stdout
    ages = [int(word.split(":")[1]) for word in out.split() if word.startswith("lastrcv:")]
    return min(ages, default=0)


def test_a_unix_socket_has_no_facts_of_the_kernel(listen: Start, tmp_path: Path) -> None:
    server = listen("--echo", "--format", "json", address=f"unix:{tmp_path}/s")
    server.wait_for("listening")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(f"{tmp_path}/s")
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
        told = one(server)
        assert (told["kernel"], told["peer_socket"], told["bytes"]) == (None, None, None)
        assert told["gaps"]["bytes"] == "a unix socket has none"
        page = listed(server, fields="received,recv_q,owners")
        assert page["items"] == [{"conn": 1, "received": 3, "owners": None, "kernel": {"recv_q": None}}]
        assert page["totals"]["recv_q"] is None
        assert wait_until(lambda: ask(server, f"{API}/1/history").json["rows"], "a row")[0][1:6] == [
            3,
            3,
            None,
            None,
            0,
        ]


def test_over_tls_the_bytes_are_those_of_the_socket(listen: Start) -> None:
    server = listen("--tls", "--echo", "--format", "json")
    context = unverified_context()
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(connect(server.port), server_hostname="api.example.org") as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        told = one(server)
        assert (told["received"], told["sent"], told["sni"], told["tls"]["version"]) == (
            5, 5, "api.example.org", client.version(),
        )  # fmt: skip
        assert told["bytes"]["in"]["read"] > 5
        assert told["bytes"]["out"]["acked"] > 5
        assert told["kernel"]["state"] == "ESTABLISHED"
        assert listed(server, filter="sni = *.example.org and tls = *")["total"] == 1
        assert listed(server, filter="tls != *")["total"] == 0


def test_the_kernels_facts_are_found_behind_a_proxy_header_and_a_fault(listen: Start) -> None:
    server = listen("--proxy-protocol", "--echo", "--format", "json", "--fault", "latency 1ms")
    header = encode_v1(("192.0.2.1", 1234), ("198.51.100.2", 443))
    with connect(server.port) as client:
        client.sendall(header + b"hello")
        assert client.recv(5) == b"hello"
        proxy = "{}:{}".format(*client.getsockname())
        told = one(server)
        assert (told["peer"], told["proxy"]["via"], told["kernel"]["remote"]) == ("192.0.2.1:1234", proxy, proxy)
        assert told["bytes"]["in"]["read"] == len(header) + 5
        assert told["faults"] == 1
        item = listed(server, filter="peer 192.0.2.0/24 and state established", fields="rtt,owners")["items"][0]
        assert item["kernel"]["rtt_us"] > 0
        assert item["owners"]


def test_notes_and_tags_are_found_and_are_acts(listen: Start) -> None:
    server = listen("--format", "json")
    with connect_many(2, server.port):
        opened(server, 2)
        told = ask(server, f"{API}/2", "PATCH", {"note": "the slow one\x1b[31m", "tags": ["lab", "lab", "x y"]})
        assert (told.status, told.json["note"], told.json["tags"]) == (200, "the slow one\x1b[31m", ["lab", "x y"])
        assert [item["conn"] for item in listed(server, filter="tag = lab and note = *slow*")["items"]] == [2]
        assert ask(server, f"{API}/2", "PATCH", {"note": ""}).json["note"] is None
        assert listed(server, filter="tag = lab")["items"][0]["note"] is None
        wrongs: list[object] = [{"note": "x" * 1001}, {"tags": ["x"] * 17}, {"tags": [""]}, {"other": 1}, [], "x"]
        for wrong in wrongs:
            assert ask(server, f"{API}/2", "PATCH", wrong).status == 400
        server.wait_for('"event":"act"', count=2)
        acts = [event for event in server.events if event["event"] == "act"]
        assert [(each["act"], each["conn"], each["detail"]) for each in acts] == [
            ("note", 2, "the slow one\x1b[31m; tags lab, x y"),
            ("note", 2, "tags lab, x y"),
        ]
    server.wait_for('"event":"closed"', count=2)
    assert one(server, 2)["tags"] == ["lab", "x y"]


def test_the_sockets_of_this_machine_are_those_of_watch(listen: Start, start: Start) -> None:
    server = listen("--format", "json")
    with connect_many(3, server.port):
        opened(server, 3)
        filter_ = f"sport = {server.port} state all"
        watch = start("watch", "--once", "--json", "--sort", "foreign", filter_)
        assert watch.wait() == 0
        pages: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = ask(
                server, f"/api/v1/sockets?{urlencode({'filter': filter_, 'sort': 'foreign', 'limit': 2} | after)}"
            ).json
            pages += page["items"]
            if page["next"] is None:
                break
            after = {"after": page["next"]}

        def fixed(socket: dict[str, Any]) -> dict[str, Any]:
            info = socket["info"]
            return {**socket, "gaps": None, "info": {name: info[name] for name in ("cookie", "skmem")}}

        assert list(map(fixed, pages)) == [fixed(json.loads(line)) for line in watch.lines]
        assert page["total"] == 4
        third = {"filter": filter_, "sort": "foreign", "limit": 1, "offset": 2}
        (socket,) = ask(server, f"/api/v1/sockets?{urlencode(third)}").json["items"]
        assert socket["remote"] == pages[2]["remote"]
    assert ask(server, "/api/v1/sockets?filter=foo").json["code"] == "filter"
    assert ask(server, "/api/v1/sockets?sort=bogus").json["code"] == "column"
    assert ask(server, "/api/v1/sockets?after=bogus").json["code"] == "after"
    listening = ask(server, f"/api/v1/sockets?view=listening&filter=sport%20{server.port}").json
    assert [each["state"] for each in listening["items"]] == ["LISTEN"]


def test_with_a_page_history_begins_before_anybody_looks(listen: Start) -> None:
    server = listen("--web", "127.0.0.1:0", "--format", "json")
    page = page_of(server)
    with connect(server.port):
        opened(server, 1)
    server.wait_for('"event":"closed"')
    closed = page.ask(f"{API}?state=closed").json["items"]
    assert [(item["conn"], item["reason"]) for item in closed] == [(1, "peer_closed")]
