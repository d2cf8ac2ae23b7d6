"""The API of a fleet, over states made of messages: lists, findings, events, and that nothing in it acts."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from fleet_records import T0, closed, finding, findings, iso, message, opened, socket, status, summary
from hypothesis import given

from portside.control.client.http_client import ApiError, Query, Unreachable
from portside.control.client.server_info import ask_server
from portside.diagnosis.findings import Subject
from portside.fleet.console import row_list
from portside.fleet.console.api import FleetApi
from portside.fleet.console.event_ring import FleetEvent, FleetEventRing
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.row_list import KeptLists
from portside.fleet.console.socket_list import reduced
from portside.fleet.query.filter import VOCABULARY, FilteredSocket, evaluate_tree, socket_truth
from portside.fleet.query.names import FleetNames
from portside.fleet.query.state import NodeName
from portside.fleet.schema import ConnectionEvent, CurrentFindings, Envelope, ServerEvent
from portside.json_text import encode_json
from portside.kernel.filter.grammar import parse
from portside.kernel.models import Owner, Socket

HOSTILE = "\x1b[2Jevil\u202e\n<script>" + "x" * 5000


class Clock:
    def __init__(self) -> None:
        self.now = T0 + 1

    def __call__(self) -> float:
        return self.now


def fleet_of(*messages: Envelope, clock: Callable[[], float] | None = None) -> LiveFleet:
    fleet = LiveFleet(["nats://broker:4222"], now=clock or Clock())
    fleet.apply([(each, T0) for each in messages])
    return fleet


def three_nodes(clock: Callable[[], float] | None = None) -> LiveFleet:
    web1 = opened(
        socket("10.0.0.1:80", "10.9.0.1:4000", program="nginx", pid=8, send_q=7, rtt_us=900),
        socket("10.0.0.1:443", "10.9.0.2:4001", program="nginx", pid=8, recv_q=70000, rtt_us=50),
        total=200,
    )
    web2 = opened(socket("10.0.0.2:80", "10.9.0.1:4002", program="nginx", pid=9))
    db1 = opened(socket("10.0.0.3:5432", "10.0.0.1:5000", state="CLOSE_WAIT", rtt_us=None))
    return fleet_of(
        *(message("node", status(T0), node=each) for each in ("web1", "web2")),
        message("node", status(T0, version="0.2.0", load=3.5), node="db1", site="oslo"),
        message("open", web1, node="web1"),
        message("open", web2, node="web2"),
        message("open", db1, node="db1", site="oslo"),
        clock=clock,
    )


def get(fleet: LiveFleet, path: str, **query: str | int) -> Any:
    answer = FleetApi(fleet).request("GET", f"/api/v1/{path}", query=query)
    assert json.loads(encode_json(answer)) == answer  # nothing in it is no JSON
    return answer


def locals_of(page: Any) -> list[str]:
    return [each["local"] for each in page["items"]]


def refusal(path: str, query: Query | None = None, method: str = "GET") -> ApiError:
    with pytest.raises(ApiError) as caught:
        FleetApi(three_nodes()).request(method, f"/api/v1/{path}", query=query)
    return caught.value


def test_the_fleet_says_of_itself_what_a_server_does() -> None:
    info = ask_server(FleetApi(three_nodes()))
    assert info["listeners"][0]["address"] == "nats://broker:4222"
    assert info["nodes"] == {"alive": 3, "late": 0, "gone": 0}
    assert info["counts"]["open"] == 9  # three of each, as the signs of life have it
    assert info["read_only"] is True


def test_a_list_of_nodes_is_made_anew_where_time_and_changes_go_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_list, "_FRESH_S", 0.0)
    monkeypatch.setattr(row_list, "_BUSY_SHARE", 0)
    clock = Clock()
    fleet = fleet_of(*(message("node", status(T0), node=f"web{each}") for each in range(1, 6)), clock=clock)
    api = FleetApi(fleet)
    for number in range(6, 13):
        assert api.request("GET", "/api/v1/nodes", query={})["total"] == number - 1
        fleet.apply([(message("node", status(T0), node=f"web{number}"), T0)])
        clock.now += 1


def test_nodes_become_late_and_gone() -> None:
    clock = Clock()
    fleet = three_nodes(clock)
    clock.now = T0 + 60
    assert get(fleet, "server")["nodes"] == {"alive": 0, "late": 3, "gone": 0}
    clock.now = T0 + 1000
    info = get(fleet, "server")
    assert (info["nodes"]["gone"], info["counts"]["open"]) == (3, 0)
    assert [each["life"] for each in get(fleet, "nodes")["items"]] == ["gone"] * 3


def test_rates_are_those_of_the_last_minute_of_each_node() -> None:
    fleet = fleet_of(
        message("summary", summary(bytes_sent=6000, bytes_received=600, opened=120), node="a"),
        message("summary", summary(bytes_sent=3000, period_s=30.0), summary("x", period_s=math.nan), node="b"),
    )
    assert get(fleet, "server")["rates"] == {"opened": 2.0, "closed": 0.0, "received": 10.0, "sent": 200.0}
    assert get(fleet_of(), "server")["rates"] == {"opened": 0.0, "closed": 0.0, "received": 0.0, "sent": 0.0}


def test_counts_grow_by_the_rates_and_never_shrink() -> None:
    fleet = fleet_of(message("summary", summary(bytes_sent=6_000_000_000_000)))
    api = FleetApi(fleet)
    sent = [api.request("GET", "/api/v1/server")["counts"]["sent"] for _ in range(3)]
    assert sent == sorted(sent)
    assert sent[-1] > sent[0]


def test_connections_of_all_nodes() -> None:
    page = get(three_nodes(), "sockets")
    assert [(each["node"], each["site"], each["local"]) for each in page["items"]] == [
        ("db1", "oslo", "10.0.0.3:5432"),
        ("web1", "paris", "10.0.0.1:80"),
        ("web1", "paris", "10.0.0.1:443"),
        ("web2", "paris", "10.0.0.2:80"),
    ]
    assert page["total"] == 4
    assert page["totals"] == {"recv_q": 70000, "send_q": 7, "open": 202}
    assert page["items"][1]["info"] == {"rtt_us": 900}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node = web*", ["10.0.0.1:80", "10.0.0.1:443", "10.0.0.2:80"]),
        ("site = oslo", ["10.0.0.3:5432"]),
        ("recvq > 1k or sport = :5432", ["10.0.0.3:5432", "10.0.0.1:443"]),
        ("state close-wait", ["10.0.0.3:5432"]),
        ("program = nginx and dst 10.9.0.1", ["10.0.0.1:80", "10.0.0.2:80"]),
        ("node != web1 and not site = oslo", ["10.0.0.2:80"]),
    ],
)
def test_filters(text: str, expected: list[str]) -> None:
    assert locals_of(get(three_nodes(), "sockets", filter=text)) == expected


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("-recvq", "10.0.0.1:443", "10.0.0.2:80"),
        ("rtt", "10.0.0.1:443", "10.0.0.3:5432"),  # what is not known comes last
        ("-rtt", "10.0.0.1:80", "10.0.0.3:5432"),
        ("local", "10.0.0.1:80", "10.0.0.3:5432"),
        ("-node", "10.0.0.2:80", "10.0.0.3:5432"),
        ("site", "10.0.0.3:5432", "10.0.0.2:80"),
        ("program", "10.0.0.1:80", "10.0.0.3:5432"),
        ("-state", "10.0.0.1:80", "10.0.0.3:5432"),
    ],
)
def test_orders(sort: str, first: str, last: str) -> None:
    found = locals_of(get(three_nodes(), "sockets", sort=sort))
    assert (found[0], found[-1]) == (first, last)


def test_pages() -> None:
    first = get(three_nodes(), "sockets", sort="local", limit=3)
    rest = get(three_nodes(), "sockets", sort="local", limit=3, after=first["next"])
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
    assert locals_of(rest) == locals_of(get(three_nodes(), "sockets", sort="local", offset=3))


def test_views() -> None:
    assert get(three_nodes(), "sockets", view="listening")["total"] == 0
    assert get(three_nodes(), "sockets", view="all")["total"] == 4


def test_what_nodes_told_long_ago_is_not_shown() -> None:
    clock = Clock()
    fleet = three_nodes(clock)
    fleet.apply([(message("findings", findings(finding())), T0)])
    assert get(fleet, "findings")["total"] == 1
    clock.now = T0 + 301
    assert get(fleet, "sockets")["total"] == 0
    assert get(fleet, "findings")["total"] == 0


def test_nodes() -> None:
    page = get(three_nodes(), "nodes", sort="-load")
    assert [(each["node"], each["life"], each["version"]) for each in page["items"]] == [
        ("db1", "alive", "0.2.0"),
        ("web1", "alive", "0.1.0"),
        ("web2", "alive", "0.1.0"),
    ]
    assert [each["node"] for each in get(three_nodes(), "nodes", filter="node = web* and load < 1")["items"]] == [
        "web1",
        "web2",
    ]
    assert [each["node"] for each in get(three_nodes(), "nodes", filter="not version = 0.1.*")["items"]] == ["db1"]
    assert get(three_nodes(), "nodes", filter="life = gone or lag > 10s")["total"] == 0


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("sockets", {"sort": "recqv"}, "did you mean recvq"),
        ("sockets", {"view": "some"}, "view"),
        ("sockets", {"limit": 1001}, "limit"),
        ("sockets", {"offset": "x"}, "offset"),
        ("sockets", {"fields": "conn"}, "fields"),
        ("nodes", {"sort": "versoin"}, "did you mean version"),
        ("nodes", {"filter": "sport = :80"}, "a node has no such column"),
        ("findings", {"filter": "x"}, "filter"),
    ],
)
def test_mistakes(path: str, query: dict[str, str | int], words: str) -> None:
    error = refusal(path, query)
    assert error.http_status == 400
    assert words in error.why


@pytest.mark.parametrize("path", ["sockets", "nodes"])
def test_a_mistake_in_a_filter_has_its_place(path: str) -> None:
    error = refusal(path, {"filter": "node = web1 and nod = 3"})
    assert (error.http_status, error.code, error.position, error.length) == (400, "filter", 16, 3)


ACTS = [
    ("POST", "connections/7/send"),
    ("POST", "connections/7/close"),
    ("PATCH", "connections/7"),
    ("POST", "broadcast"),
    ("POST", "drain"),
    ("PATCH", "limits"),
    ("DELETE", "access"),
    ("PUT", "sockets"),
]


@pytest.mark.parametrize(("method", "path"), ACTS)
def test_nothing_acts(method: str, path: str) -> None:
    error = refusal(path, method=method)
    assert error.http_status == 405
    assert "nothing acts" in error.why


@pytest.mark.parametrize("path", ["connections", "connections/7", "connections/7/messages", "limits", "access"])
def test_what_one_server_has_alone_is_not_there(path: str) -> None:
    assert refusal(path).http_status == 404
    with pytest.raises(ApiError):
        FleetApi(three_nodes()).lines(f"/api/v1/{path}")


def test_a_broker_that_has_gone() -> None:
    fleet = three_nodes()
    fleet.problem = "the connection to the broker is lost"
    with pytest.raises(Unreachable) as caught:
        FleetApi(fleet).request("GET", "/api/v1/server")
    assert "is lost" in caught.value.why
    fleet.problem = None
    assert get(fleet, "server")["nodes"]["alive"] == 3


def test_the_same_condition_on_many_nodes_is_one_finding() -> None:
    fleet = fleet_of(
        *(message("findings", findings(finding(count=10)), node=f"web{number}") for number in range(40)),
        message(
            "findings",
            findings(finding("accept-queue-full", "warning", count=2), finding(count=99)),
            node="web0",
            seq=2,
        ),
    )
    items = get(fleet, "findings")["items"]
    assert [(each["code"], each["count"]) for each in items] == [
        ("close-wait-leak", 390 + 99),
        ("accept-queue-full", 2),
    ]
    assert items[0]["node"].startswith("40 nodes (web0, web1, web10 and 37 more)")
    assert items[0]["summary"] == "web0: 214 connections wait for close()"
    assert (len(items[0]["nodes"]), items[0]["nodes_total"]) == (40, 40)
    assert "pid" not in items[0]["subject"]
    assert (items[1]["node"], items[1]["subject"]["pid"]) == ("web0", 77)


def test_what_nodes_could_not_look_at() -> None:
    fleet = fleet_of(
        message("findings", findings(conntrack="no permission"), node="a"),
        message("findings", findings(conntrack="no permission"), node="b"),
    )
    assert get(fleet, "findings")["blind"] == {"conntrack": "2 nodes (a, b): no permission"}


@given(st.integers(0, 2**16))
def test_a_filter_is_decided_for_a_node_as_for_each_socket(seed: int) -> None:
    random = Random(seed)

    def tree(depth: int) -> str:
        kind = random.randrange(7 if depth else 4)
        if kind < 4:
            of = ("node = web*", "site = oslo", "sport = :80", "state established", "recvq > 3", "rtt > 1ms")
            return random.choice(of)
        if kind == 4:
            return f"not ({tree(depth - 1)})"
        return f"({tree(depth - 1)} {'and' if kind == 5 else 'or'} {tree(depth - 1)})"

    text = tree(4)
    names = FleetNames()
    whole = parse(text, names, VOCABULARY)
    sockets = [
        socket(f"10.0.0.1:{port}", state=state, recv_q=recv_q, rtt_us=rtt_us)
        for port in (80, 81)
        for state in ("ESTABLISHED", "CLOSE_WAIT", HOSTILE)
        for recv_q in (0, 5, None)
        for rtt_us in (5000, None)
    ]
    nodes = (NodeName("oslo", "db1"), NodeName("oslo", "web2"), NodeName("paris", "web1"))
    for name in nodes:
        rest = reduced(whole, name)
        for each in sockets:
            row = FilteredSocket(name, each)
            expected = evaluate_tree(whole, lambda it, of=row: socket_truth(it, of, names))  # type: ignore[misc]
            assert evaluate_tree(rest, lambda it, of=row: socket_truth(it, of, names)) is expected  # type: ignore[misc]
    fleet = fleet_of(*(message("open", opened(*sockets), node=each.node, site=each.site) for each in nodes))
    rows = [FilteredSocket(name, each) for name in nodes for each in sockets if each.state != HOSTILE]
    chosen = [row for row in rows if evaluate_tree(whole, lambda it, of=row: socket_truth(it, of, names)) is True]  # type: ignore[misc]
    page = get(fleet, "sockets", filter=text, view="all", limit=1000)
    assert [(each["node"], each["local"], each["recv_q"]) for each in page["items"]] == [
        (row.name.node, row.socket.local, row.socket.recv_q) for row in chosen if row.socket is not None
    ]


# Events.


def event(record: ConnectionEvent | ServerEvent, node: str = "web1") -> FleetEvent:
    return FleetEvent(NodeName("paris", node), iso(T0), record)


def lines(fleet: LiveFleet, **query: str | int) -> list[dict[str, Any]]:
    return list(FleetApi(fleet).lines("/api/v1/events", query={"follow": "false", **query}))


def with_events(*events: FleetEvent) -> LiveFleet:
    fleet = fleet_of()
    fleet.events.add(events)
    return fleet


def test_events_of_connections_and_servers() -> None:
    said = {"seq": 9, "event": "closed", "at": iso(T0), "conn": 7, "peer": "10.0.0.9:1", "reason": "peer_reset"}
    first, second = lines(with_events(event(closed(socket())), event(ServerEvent(pid=50, event=said), "db1")))
    assert first == {
        "seq": 1, "node": "web1", "site": "paris", "event": "closed", "at": iso(T0), "peer": "10.0.0.2:40000",
        "local": "10.0.0.1:5432", "program": "postgres", "state": "ESTABLISHED", "duration": 2.5, "received": 20,
        "sent": 10, "rtt_us": 250, "retrans": 0,
    }  # fmt: skip
    assert second == {
        "seq": 2, "node": "db1", "site": "paris", "event": "closed", "at": iso(T0), "pid": 50, "peer": "10.0.0.9:1",
        "reason": "peer_reset", "number": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event = closed", [1, 2]),
        ("not event = received and not event = sent", [1, 2]),
        ("node = db*", [3]),
        ("sport = :5432 and bytes_received > 10", [1]),
        ("program = nginx", [2]),
        ("age > 1m", [2]),
        ("site = oslo", []),
    ],
)
def test_events_that_are_chosen(text: str, expected: list[int]) -> None:
    fleet = with_events(
        event(closed(socket())),
        event(closed(socket("10.0.0.1:80", program="nginx"), duration=90.0)),
        event(ServerEvent(pid=5, event={"event": "received", "conn": 1, "size": 3, "text": "abc"}), "db1"),
    )
    assert [each["seq"] for each in lines(fleet, filter=text)] == expected


def test_a_mistake_in_the_filter_of_events_has_its_place() -> None:
    with pytest.raises(ApiError) as caught:
        lines(fleet_of(), filter="nod = 3")
    assert (caught.value.position, caught.value.length) == (0, 3)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [("none", {}), ("head", {"text": "x" * 256}), ("all", {"text": "x" * 1000})],
)
def test_payload_as_much_as_is_asked_for(payload: str, expected: dict[str, str]) -> None:
    said = {"event": "received", "conn": 1, "size": 1000, "text": "x" * 1000}
    (line,) = lines(with_events(event(ServerEvent(pid=5, event=said))), payload=payload)
    assert {name: value for name, value in line.items() if name in ("text", "base64")} == expected
    assert line["size"] == 1000


def test_events_go_on_where_their_reader_was() -> None:
    fleet = with_events(*(event(closed(socket())) for _ in range(5)))
    assert [each["seq"] for each in lines(fleet, after=3)] == [4, 5]
    assert lines(fleet, after=99) == []


def test_events_that_are_held_no_more_are_counted() -> None:
    fleet = fleet_of()
    fleet.events = FleetEventRing(most=3)
    fleet.events.add([event(closed(socket()))] * 10)
    assert [each["seq"] for each in lines(fleet)] == [8, 9, 10]
    missed, *rest = lines(fleet, after=2)
    assert missed == {"seq": 7, "event": "missed", "count": 5}
    assert [each["seq"] for each in rest] == [8, 9, 10]


def test_a_stream_follows_until_it_is_closed() -> None:
    fleet = with_events(event(closed(socket())))
    stream = FleetApi(fleet).lines("/api/v1/events", query={})
    seen: list[int] = []
    second = threading.Event()

    def read() -> None:
        for each in stream:
            seen.append(each["seq"])
            second.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert second.wait(30)
    second.clear()
    fleet.events.add([event(closed(socket()))])
    assert second.wait(30)
    stream.close()
    reader.join(30)
    assert not reader.is_alive()
    assert seen == [1, 2]


# What anybody may publish.


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield name
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)


def hostile_socket() -> Socket:
    return Socket(
        proto=HOSTILE, family=77, state=HOSTILE, recv_q=-5, send_q=1 << 63, local=HOSTILE, remote=HOSTILE, inode=None,
        uid=None, owners=tuple(Owner(pid=number, program=HOSTILE, fd=None) for number in range(100)),
        info={"rtt_us": HOSTILE, "retrans_total": math.inf, "cwnd": {"a": [1]}, HOSTILE: HOSTILE}, gaps={},
    )  # fmt: skip


def hostile_fleet() -> LiveFleet:
    evil = finding(HOSTILE, subject=Subject(HOSTILE, 1, HOSTILE, HOSTILE, HOSTILE), summary=HOSTILE)
    told = CurrentFindings(at=HOSTILE, findings=(evil, finding("../../etc/passwd")), unseen={HOSTILE: HOSTILE})
    fleet = fleet_of(
        message("node", status(version=HOSTILE, system=HOSTILE, load=math.nan, notes=(HOSTILE,) * 99), node=HOSTILE),
        message("open", opened(hostile_socket(), socket(), total=-9), node=HOSTILE, site=HOSTILE),
        message("findings", told, node=HOSTILE),
        message("summary", summary(bytes_sent=-5, opened=1 << 63, period_s=1e-300), node=HOSTILE),
    )
    ended = ConnectionEvent(event="closed", at=HOSTILE, seen="destroy", socket=hostile_socket(), was=HOSTILE)
    said: list[dict[str, Any]] = [
        {"event": HOSTILE, "at": 7, "conn": HOSTILE, "peer": [HOSTILE], HOSTILE: {}},
        {"event": "received", "size": "many", "base64": "no base64", "text": 5},
        {str(number): HOSTILE for number in range(1000)},
    ]
    fleet.events.add([event(ended, HOSTILE), *(event(ServerEvent(pid=-1, event=each)) for each in said)])
    return fleet


def test_nothing_hostile_passes() -> None:
    fleet = hostile_fleet()
    answers = [get(fleet, path) for path in ("server", "sockets", "nodes", "findings")]
    orders = ("rtt", "-sendq", "local", "state", "program", "cwnd", "node")
    answers += [*(get(fleet, "sockets", sort=each) for each in orders), lines(fleet)]
    for text in texts(answers):
        assert text.isprintable()
        assert len(text) <= 2200
    assert [each["code"] for each in get(fleet, "findings")["items"]] == ["unknown", "unknown"]
    assert all(each["info"].get("rtt_us", 0) in (0, 250) for each in get(fleet, "sockets")["items"])


# Lists that are kept.


def test_a_list_is_made_anew_when_the_fleet_has_changed_and_not_too_often() -> None:
    now, made = [0.0], []

    def make() -> tuple[list[int], None]:
        made.append(now[0])
        now[0] += 1.0  # what it takes
        return [len(made)], None

    lists: KeptLists[int] = KeptLists(lambda: now[0])

    def ask(changes: int, wait_s: float) -> int:
        now[0] += wait_s
        return lists.get("list", changes, make).rows[0]

    assert [ask(1, 0), ask(1, 100), ask(2, 1), ask(2, 1)] == [1, 1, 2, 2]
    assert [ask(3, 1), ask(3, 1), ask(3, 4)] == [2, 2, 3]
