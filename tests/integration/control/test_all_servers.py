"""The servers of this user as one, as ``console --all`` asks them: in this process, on real servers."""

import errno
import json
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Container
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from api_client import ask, loading
from conftest import Start
from support import DEADLINE_S, Program, connect, wait_until

from portside.control.client import exchange, http_client, known_servers, merged_list
from portside.control.client.all_servers import AllServers
from portside.control.client.exchange import Api
from portside.control.client.http_client import ApiError, ControlClient, Silent, Unreachable
from portside.control.client.known_servers import KnownServers
from portside.control.client.merged_events import MergedEvents
from portside.control.client.named_server import NamedServer
from portside.control.client.servers import FoundServer, named_servers

CONNECTIONS = "/api/v1/connections"


@pytest.fixture
def listen(listen: Start) -> Start:
    return loading(listen)


@pytest.fixture
def servers(listen: Start) -> list[Program]:
    """Three servers, by process."""
    started = [listen("--echo") for _ in range(3)]
    assert all(each.port for each in started)
    return sorted(started, key=pid)


def pid(server: Program) -> int:
    return server.process.pid


def clients(stack: ExitStack, servers: list[Program], each: int) -> None:
    """Clients of every server, each of which has sent another number of bytes and had them back."""
    for number in range(each):
        for at, server in enumerate(servers):
            client = stack.enter_context(connect(server.port))
            size = (number * 31 + at * 17) % 97 + 1
            client.sendall(b"x" * size)
            assert client.recv(size)
            wait_until(lambda server=server, number=number: opened(server) > number, "it to be counted")  # type: ignore[misc]


def opened(server: Program) -> int:
    count: int = ask(server, "/api/v1/server").json["counts"]["opened"]
    return count


def test_a_page_is_a_piece_of_the_whole_list_in_any_order(
    servers: list[Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        clients(stack, servers, 7)
        together = AllServers()
        for sort in ("conn", "-received", "peer", "-note", "rtt"):
            query = {"sort": sort, "fields": "peer,received,note"}
            whole = together.request("GET", CONNECTIONS, query=query)
            assert whole["total"] == len(whole["items"]) == 21
            assert {item["conn"] for item in whole["items"]} == {
                f"{pid(each)}/{n}" for each in servers for n in range(1, 8)
            }
            if sort == "-received":
                sizes = [item["received"] for item in whole["items"]]
                assert sizes == sorted(sizes, reverse=True)
                assert whole["totals"]["received"] == sum(sizes)
            if sort == "rtt":
                continue  # it moves
            monkeypatch.setattr(merged_list, "_MARGINS", (1, 3))
            for offset, near in ((0, 300), (5, 300), (19, 300), (30, 300), (4, 3), (5, 3), (11, 3), (19, 3), (30, 3)):
                monkeypatch.setattr(merged_list, "_NEAR", near)
                page = together.request("GET", CONNECTIONS, query={**query, "offset": offset, "limit": 4})
                assert page["total"] == 21
                assert page["items"] == whole["items"][offset : offset + 4]
        some = together.request(
            "GET",
            CONNECTIONS,
            query={"fields": "peer", "filter": f"peer = :{whole['items'][3]['peer'].rpartition(':')[2]}"},
        )
        assert [item["conn"] for item in some["items"]] == [whole["items"][3]["conn"]]


def test_what_is_asked_and_done_of_one_connection_reaches_its_server(servers: list[Program]) -> None:
    with ExitStack() as stack:
        clients(stack, servers, 2)
        together = AllServers()
        name = f"{pid(servers[1])}/2"
        details = together.request("GET", f"{CONNECTIONS}/{name}")
        assert details["conn"] == name
        assert together.request("POST", f"{CONNECTIONS}/{name}/pause")["changed"] is True
        assert "operator" in ask(servers[1], f"{CONNECTIONS}/2").json["holds"]
        messages = together.request("GET", f"{CONNECTIONS}/{name}/messages", query={"limit": 3})["items"]
        assert {each["direction"] for each in messages} == {"in", "out"}
        for path, why in (
            (f"{CONNECTIONS}/{pid(servers[1])}/99", "there is no connection 99"),
            (f"{CONNECTIONS}/9999999/1", "server 9999999 has ended, or does not answer"),
            ("/api/v1/limits", "/api/v1/limits is of one server"),
        ):
            with pytest.raises(ApiError) as refused:
                together.request("GET", path)
            assert refused.value.http_status == 404
            assert why in str(refused.value)
        with pytest.raises(ApiError) as wrong:
            together.request("GET", CONNECTIONS, query={"fields": "peer", "filter": "foo = 1"})
        assert (wrong.value.http_status, wrong.value.position) == (400, 0)
        with pytest.raises(ApiError, match="fields: they have to be named"):
            together.request("GET", CONNECTIONS)


def test_counts_are_sums_and_go_on_when_a_server_ends(servers: list[Program], listen: Start) -> None:
    with ExitStack() as stack:
        clients(stack, servers, 2)
        together = AllServers()
        before = together.request("GET", "/api/v1/server")
        assert [each["pid"] for each in before["servers"]] == [pid(each) for each in servers]
        assert {each["address"] for each in before["listeners"]} == {f"127.0.0.1:{each.port}" for each in servers}
        assert (before["counts"]["open"], before["counts"]["opened"]) == (6, 6)
        assert servers[0].stop() == 0
        after = together.request("GET", "/api/v1/server")
        assert [each["pid"] for each in after["servers"]] == [pid(each) for each in servers[1:]]
        assert (after["counts"]["open"], after["counts"]["opened"]) == (4, 6)
        assert after["counts"]["received"] == before["counts"]["received"]
        assert after["uptime"] >= before["uptime"]
        fourth = listen("--echo")
        assert fourth.port
        now = together.request("GET", "/api/v1/server")["servers"]
        assert pid(fourth) in [each["pid"] for each in now]
    for each in (*servers[1:], fourth):
        assert each.stop() == 0
    with pytest.raises(Unreachable, match="none runs here that answers"):
        together.request("GET", "/api/v1/server")
    with pytest.raises(Unreachable):
        AllServers()
    with pytest.raises(Unreachable):
        next(iter(together.lines("/api/v1/events")))


def test_one_that_answers_nothing_is_not_waited_for_again(
    servers: list[Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in servers:
        assert opened(each) == 0  # and its API is loaded
    monkeypatch.setattr(http_client, "TIMEOUT_S", 4.0)
    monkeypatch.setattr(known_servers, "_SILENT_S", 0.0)  # it is asked again with each look
    servers[2].signal(signal.SIGSTOP)
    try:
        together = AllServers()
        info = together.request("GET", "/api/v1/server")
        assert [each["pid"] for each in info["servers"]] == [pid(each) for each in servers[:2]]
        assert info["silent"] == [pid(servers[2])]
        monkeypatch.setattr(http_client, "TIMEOUT_S", DEADLINE_S * 10)  # and yet an answer comes
        for _ in range(2):
            assert in_time(lambda: together.request("GET", "/api/v1/server"))["silent"] == [pid(servers[2])]
        with connect(servers[0].port):
            events = iter(together.lines("/api/v1/events", query={"after": 0}))
            assert in_time(lambda: next(events))["event"] == "opened"
    finally:
        servers[2].signal(signal.SIGCONT)

    def is_back() -> bool:
        info = together.request("GET", "/api/v1/server")
        return len(info["servers"]) == 3 and not info["silent"]

    wait_until(is_back, "it to be asked again")


def test_an_act_on_all_says_who_gave_no_answer(servers: list[Program], monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(servers[0].port) as client:
        wait_until(lambda: opened(servers[0]), "it to be counted")
        together = AllServers()
        monkeypatch.setattr(http_client, "TIMEOUT_S", 4.0)
        servers[2].signal(signal.SIGSTOP)
        try:
            with pytest.raises(ApiError) as told:
                together.request("POST", "/api/v1/broadcast", body={"text": "x"})
        finally:
            servers[2].signal(signal.SIGCONT)
        assert told.value.http_status == 503
        assert f"server {pid(servers[2])}: no answer within 4s, and may do it later" in str(told.value)
        assert client.recv(1) == b"x"


def in_time(ask: Callable[[], Any]) -> Any:
    """What a question answers. Fails where that takes longer than the deadline."""
    answers: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=lambda: answers.put(ask()), daemon=True).start()
    return answers.get(timeout=DEADLINE_S)


def test_a_long_search_holds_up_no_events(servers: list[Program]) -> None:
    assert opened(servers[0]) == 0
    searches, may_end = threading.Event(), threading.Event()
    seen: queue.Queue[Any] = queue.Queue()

    def find(_: Container[int]) -> list[NamedServer]:
        searches.set()
        may_end.wait(DEADLINE_S * 2)
        return []

    events = MergedEvents(named_servers(), find, {}, lambda _: None)

    def read() -> None:
        for each in events.items():
            seen.put(each)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert searches.wait(DEADLINE_S)
        with connect(servers[0].port):
            assert seen.get(timeout=DEADLINE_S)[1]["event"] == "opened"
    finally:
        may_end.set()
        events.close()
        reader.join(DEADLINE_S)
    assert not reader.is_alive()


def found(process: int, opened: int, started: str = "today", rate: float | None = None) -> FoundServer:
    """A server, by what it says of itself."""
    counts = {"open": 0, "opened": opened, "received": 0, "sent": 0, "closed": {}, "refused": {}}
    info = {
        "pid": process, "uptime": 1.0, "started": started, "listeners": [], "counts": counts,
        "rates": {"opened": rate, "closed": None}, "options": {"--echo": True},
    }  # fmt: skip
    return FoundServer(ControlClient(Api("it")), info)


def test_what_one_server_says_is_not_said_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [found(os.getpid(), 1, rate=2.5), found(os.getppid(), 1), found(1, 1, rate=1.0)]
    monkeypatch.setattr(known_servers, "ask_servers", lambda _: (servers, {}))
    info = KnownServers().info()
    assert info["rates"] == {"opened": 3.5, "closed": None}
    assert info["options"] == {}


def test_no_client_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = os.getpid(), os.getppid()
    asked: queue.Queue[list[FoundServer]] = queue.Queue()
    monkeypatch.setattr(known_servers, "ask_servers", lambda _: (asked.get_nowait(), {}))

    def together() -> int:
        count: int = known.info()["counts"]["opened"]
        return count

    asked.put([found(one, 5), found(other, 1)])
    known = KnownServers()
    assert together() == 6
    asked.put([found(other, 1)])  # the one lives, and refused to answer
    known.look()
    assert together() == 6
    asked.put([found(one, 7), found(other, 1)])
    known.look()
    assert together() == 8
    asked.put([found(one, 2, started="later"), found(other, 1)])  # another one, in a process with the same number
    known.look()
    assert together() == 10


def test_an_answer_that_comes_late_is_not_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = os.getpid(), os.getppid()
    monkeypatch.setattr(known_servers, "ask_servers", lambda _: ([found(one, 5), found(other, 1)], {}))
    known = KnownServers()

    def ask_late(_: Container[int]) -> tuple[list[FoundServer], dict[int, Silent]]:
        monkeypatch.setattr(known_servers, "ask_servers", lambda _: ([found(other, 2)], {}))
        known.look()  # is over before this one
        return [found(one, 5), found(other, 1)], {}

    monkeypatch.setattr(known_servers, "ask_servers", ask_late)
    known.look()
    assert [(each.pid, each.info["counts"]["opened"]) for each in known.all()] == [(other, 2)]


def test_a_stream_of_a_server_for_which_too_many_wait_ends_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "1.sock")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        is_full = False
        while not is_full:
            waits = stack.enter_context(socket.socket(socket.AF_UNIX))
            waits.setblocking(False)
            is_full = waits.connect_ex(path) == errno.EAGAIN
        ends: queue.Queue[BaseException] = queue.Queue()

        def read() -> None:
            try:
                next(ControlClient(Api("it", path)).lines("/api/v1/events"))
            except Unreachable as error:
                ends.put(error)

        threading.Thread(target=read, daemon=True).start()
        end = ends.get(timeout=DEADLINE_S)
        assert isinstance(end, Silent)
        assert "as many clients wait for it as may" in str(end)


def test_the_end_of_a_stream_does_not_wait_for_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connects, may_go_on, closed = threading.Event(), threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def connect_late(*_: object) -> socket.socket:
        connects.set()
        assert may_go_on.wait(DEADLINE_S)
        return ours

    monkeypatch.setattr(exchange, "_connect", connect_late)
    stream = ControlClient(Api("it")).lines("/api/v1/events")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    assert connects.wait(DEADLINE_S)

    def close() -> None:
        stream.close()
        closed.set()

    threading.Thread(target=close, daemon=True).start()
    try:
        assert closed.wait(DEADLINE_S)
    finally:
        may_go_on.set()
        reader.join(DEADLINE_S)
    with theirs:
        assert theirs.recv(1) == b""  # it was closed, and nothing asked


def test_events_of_all_until_they_are_closed(servers: list[Program]) -> None:
    together = AllServers()
    stream = together.lines("/api/v1/events", query={"after": 0, "payload": "none"})
    seen: list[dict[str, Any]] = []

    def read() -> None:
        for item in stream:
            seen.append(item)  # noqa: PERF402 -- as they come

    reader = threading.Thread(target=read)
    reader.start()
    processes = {pid(each) for each in servers}
    with ExitStack() as stack:
        clients(stack, servers, 1)
        wait_until(
            lambda: {each["server"] for each in list(seen) if each["event"] == "opened"} == processes, "all clients"
        )
        assert all("seq" not in item for item in seen)
        stream.close()
        reader.join(DEADLINE_S)
        assert not reader.is_alive()
    held = together.lines("/api/v1/events", query={"after": 0, "payload": "none", "follow": "false"})
    assert {item["server"] for item in held} == processes


def test_what_begins_with_the_number_of_a_process_that_has_ended_is_found(servers: list[Program]) -> None:
    known: list[set[int]] = []

    def find(those: Container[int]) -> list[NamedServer]:
        known.append({pid(each) for each in servers if pid(each) in those})
        return []

    events = MergedEvents(named_servers(), find, {}, lambda _: None)
    reader = threading.Thread(target=lambda: list(events.items()))
    reader.start()
    wait_until(lambda: known and known[-1] == {pid(each) for each in servers}, "the servers to be known")
    assert servers[0].stop() == 0
    wait_until(lambda: known[-1] == {pid(each) for each in servers[1:]}, "the one that has ended to be unknown")
    events.close()
    reader.join(DEADLINE_S)
    assert not reader.is_alive()


def test_findings_and_sockets_are_those_of_the_machine(servers: list[Program]) -> None:
    with ExitStack() as stack:
        itself = stack.enter_context(socket.socket())
        itself.bind(("127.0.0.1", 0))
        itself.connect(itself.getsockname())  # to itself: a finding
        together = AllServers()
        end = "{}:{}".format(*itself.getsockname())

        def found() -> list[dict[str, Any]]:
            items = together.request("GET", "/api/v1/findings")["items"]
            return [each for each in items if each["code"] == "self-connected" and end in json.dumps(each)]

        (finding,) = wait_until(found, "the finding")
        assert (finding["conns"], finding["conns_total"]) == ([], 0)
        port = itself.getsockname()[1]
        (row,) = together.request("GET", "/api/v1/sockets", query={"filter": f"sport = :{port} and dport = :{port}"})[
            "items"
        ]
        assert row["local"] == row["remote"] == end
