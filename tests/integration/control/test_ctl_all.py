"""``portside ctl --all``: several real servers as one."""

import json
import signal
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from api_client import ask, control_path, loading
from conftest import Start
from ctl_command import ctl
from support import DEADLINE_S, Program, connect, wait_until

from portside.cli.ctl import run as run_ctl
from portside.control.client import http_client
from portside.control.client.exchange import Api
from portside.control.client.http_client import ControlClient
from portside.control.client.merging import field_of, merge
from portside.control.connection_order import NAMES

PATH = "/api/v1/connections"


@pytest.fixture
def listen(listen: Start) -> Start:
    return loading(listen)


@pytest.fixture
def pair(listen: Start) -> list[Program]:
    """Two servers on one port, each with two clients that have said something."""
    first = listen("--echo", "--reuse-port")
    second = listen("--echo", "--reuse-port", address=f"127.0.0.1:{first.port}")
    assert second.port == first.port
    return sorted([first, second], key=lambda each: each.process.pid)


def pid(server: Program) -> int:
    return server.process.pid


def crowd(clients: ExitStack, servers: list[Program]) -> dict[str, socket.socket]:
    """Clients until each server has two, by the names that ``--all`` gives them."""
    by_name: dict[str, socket.socket] = {}
    for _ in range(200):
        client = clients.enter_context(connect(servers[0].port))
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        port = client.getsockname()[1]
        (item,) = rows("conns", "--all", "--json", f"peer = :{port}")
        by_name[f"{item['server']}/{item['conn']}"] = client
        if all(sum(name.startswith(f"{pid(each)}/") for name in by_name) >= 2 for each in servers):
            return by_name
    raise AssertionError(by_name)


def rows(*words: str) -> list[dict[str, Any]]:
    done = ctl(*words)
    assert (done.status, done.err) == (0, ""), done
    return [json.loads(line) for line in done.out.splitlines()]


def test_connections_of_all_servers_in_one_list_and_each_by_its_name(pair: list[Program]) -> None:
    with ExitStack() as stack:
        clients = crowd(stack, pair)
        assert ctl("conns").err.startswith("portside: which server: 2 run here\n")
        table = [line.split() for line in ctl("conns", "--all").out.splitlines()]
        assert table[0][:2] == ["CONN", "PEER"]
        assert {row[0]: row[1] for row in table[1:]} == {
            name: f"127.0.0.1:{client.getsockname()[1]}" for name, client in clients.items()
        }
        for server, name in zip(pair, (f"{pid(pair[0])}/1", f"{pid(pair[1])}/1"), strict=True):
            assert ctl("send", name, "you\\n").out == f"{name}: sent 4 B\n"
            assert clients[name].recv(100) == b"you\n"
            assert ctl("show", name).out.startswith(f"connection {name}\n  peer ")
            assert rows("show", name, "--json")[0]["server"] == pid(server)
            assert ctl("note", f"#{name}", "the first").out == f"{name}: note: the first\n"
            assert ctl("fault", name, "latency 1ms").out == f"{name}: fault 1, latency 1ms\n"
            assert ctl("fault", name, "off").out == f"{name}: fault 1 is out, latency 1ms\n"
        assert [row["server"] for row in rows("conns", "--all", "--json", "note = the*")] == [
            pid(each) for each in pair
        ]
        busiest = f"{pid(pair[1])}/2"
        clients[busiest].sendall(b"x" * 9999 + b"\n")
        assert len(clients[busiest].recv(10_000, socket.MSG_WAITALL)) == 10_000
        assert ctl("conns", "--all", "--sort", "-received").out.splitlines()[1].split()[0] == busiest
        assert ctl("close", busiest, "--reset").out == f"{busiest}: reset\n"
        closed = ctl("conns", "--all", "--closed").out.splitlines()[1:]
        assert [line.split()[0] for line in closed] == [busiest]


def test_acts_on_all_and_one_that_is_refused(pair: list[Program]) -> None:
    first, second = map(pid, pair)
    assert ctl("limit", "--all", "max_conns=700").out.splitlines()[::4] == [
        f"{first}: max_conns=700",
        f"{second}: max_conns=700",
    ]
    assert ctl("deny", "10.0.0.0/8", "--all").out == "".join(
        f"{each}: deny: 10.0.0.0/8 added, 1 network listed\n" for each in (first, second)
    )
    with ExitStack() as stack:
        clients = crowd(stack, pair)
        counts = {row["server"]: row["sent"] for row in rows("broadcast", "bye\\n", "--all", "--json")}
        assert sum(counts.values()) == len(clients)
        assert counts.keys() == {first, second}
        for client in clients.values():
            assert client.recv(100) == b"bye\n"
    assert ctl("deny", "10.0.0.0/8", "--remove", "--server", str(first)).status == 0
    refused = ctl("deny", "10.0.0.0/8", "--remove", "--all")
    assert refused.status == 1
    assert refused.out == f"{second}: deny: 10.0.0.0/8 taken off, 0 networks listed\n"
    assert f"server {first}" in refused.err
    assert [row["server"] for row in rows("drain", "--all", "--json")] == [first, second]
    assert [each.wait() for each in pair] == [0, 0]
    assert ctl("conns", "--all").err.startswith("portside: no server: none runs here")


def lines(follower: Program) -> list[dict[str, Any]]:
    whole, _, _ = bytes(follower.out).rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


def is_seen(follower: Program, server: Program) -> bool:
    """Whether what happens on a server is seen by now: a client comes and goes each time."""
    with connect(server.port) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
    return any(line["server"] == pid(server) for line in lines(follower))


def test_events_of_all_and_of_one_that_begins_later(pair: list[Program], listen: Start, start: Start) -> None:
    follower = start("ctl", "events", "--all", "--json")
    text = start("ctl", "events", "--all")
    for each in pair:
        wait_until(lambda each=each: is_seen(follower, each), "its events")  # type: ignore[misc]
    third = listen("--echo")
    wait_until(lambda: is_seen(follower, third), "the events of one that began later")
    wait_until(lambda: is_seen(follower, third) and f"{pid(third)}/".encode() in text.out, "its events as text")
    text.wait_for(rf"{pid(third)}/\d+ 127\.0\.0\.1:\d+  connected")
    for each in (*pair, third):
        each.signal(signal.SIGINT)
    assert [follower.wait(), text.wait()] == [0, 0]
    stopped = {line["server"] for line in lines(follower) if line["event"] == "stopped"}
    assert stopped == {pid(each) for each in (*pair, third)}
    text.wait_for(rf"{pid(third)}  stopped: signal")
    assert bytes(follower.err + text.err) == b""


def test_a_server_that_was_killed_is_left_out_and_one_that_is_stuck_is_told(
    pair: list[Program], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        names = crowd(stack, pair)
        stuck, other = map(pid, pair)
        for each in pair:
            assert ask(each, PATH).status == 200  # its API is loaded
        monkeypatch.setattr(http_client, "TIMEOUT_S", 4.0)
        pair[0].signal(signal.SIGSTOP)
        try:
            assert run_ctl(["conns", "--all"]) == 1
            shown = capfd.readouterr()
            assert {line.split()[0] for line in shown.out.splitlines()[1:]} == of(names, other)
            assert shown.err == f"portside: server {stuck}: no answer within 4s\n"
            assert run_ctl(["limit", "--all", "max_conns=9"]) == 1
            shown = capfd.readouterr()
            assert shown.out.splitlines()[0] == f"{other}: max_conns=9"
            assert shown.err == f"portside: server {stuck}: no answer within 4s\n"
        finally:
            pair[0].signal(signal.SIGKILL)
        pair[0].wait()
        assert run_ctl(["conns", "--all"]) == 0
        shown = capfd.readouterr()
        assert {line.split()[0] for line in shown.out.splitlines()[1:]} == of(names, other)
        assert shown.err == ""


def of(names: dict[str, socket.socket], process: int) -> set[str]:
    return {name for name in names if name.startswith(f"{process}/")}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("pause", "9999999/1"), "no server: process 9999999 is none that can be reached"),
        (("pause", "abc/1"), "'abc/1' is no connection: write its number, or PID/7"),
        (("pause", "12/x"), "'x' is no connection"),
        (("pause", "12/1", "--server", "13"), "12/1 says which server, and so does --server"),
        (("conns", "--all", "--server", "13"), "--all and --server exclude each other"),
        (("events", "--all", "--after", "3"), "--after and --all exclude each other"),
    ],
)
def test_what_names_no_connection(pair: list[Program], words: tuple[str, ...], why: str) -> None:
    done = ctl(*words)
    assert done.status != 0
    assert why in done.err
    assert done.out == ""


def test_the_order_of_every_column_is_that_of_the_server(listen: Start) -> None:
    """What is merged is in the order in which one server has it, for each column, in both directions."""
    server = listen("--echo")
    assert server.port
    client = ControlClient(Api("server", str(control_path(server))))
    with ExitStack() as stack:
        for number in range(6):
            peer = socket.create_connection(
                ("127.0.0.1", server.port), DEADLINE_S, source_address=(f"127.0.0.{number % 3 + 9}", 0)
            )
            stack.enter_context(peer)
            peer.sendall(b"x" * (number * 37 % 101 + 1))
            assert peer.recv(1)
        for conn, note in enumerate(("b", "a", "", "", "c", "b"), 1):
            client.request("PATCH", f"{PATH}/{conn}", body={"note": note, "tags": [note] if note else []})
        client.request("POST", f"{PATH}/2/pause")
        moving = {"age", "idle", *(name for name in NAMES if name.startswith(("last", "timer")))}
        for name in sorted(NAMES):
            for sort in (name, f"-{name}"):
                (page,) = client.pages(PATH, {"sort": sort, "limit": 1000, "fields": f"peer,{field_of(sort)}"})
                served = [item["conn"] for item in page["items"]]
                merged = merge([{"server": 1, **item} for item in reversed(page["items"])], sort)
                if name in moving:
                    assert sorted(served) == sorted(item["conn"] for item in merged)
                else:
                    assert [item["conn"] for item in merged] == served, sort
