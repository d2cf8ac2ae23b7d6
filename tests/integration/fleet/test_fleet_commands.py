"""``portside fleet`` against a real nats-server, over nodes that are simulated: text, JSON, and what it says."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fleet_publisher import fleet, node_messages, publish, simulated
from fleet_records import closed, finding, findings, iso, message, opened, socket, status, summary
from nats_server import NatsServer
from support import free_port
from wall_clock import LIBRARY, WallClock

from portside.fleet.schema import encode

QUERIES = ("nodes", "top", "events", "connections", "findings")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def url(nats: NatsServer) -> str:
    """A server with the stream."""
    made = fleet(nats.url, "init", "--max-bytes", "100M")
    assert made.status == 0, made.err
    return nats.url


@pytest.fixture
def three(url: str) -> str:
    """A stream with three nodes in it."""
    publish(url, simulated(3))
    return url


def test_nodes(three: str) -> None:
    done = fleet(three, "nodes")
    assert done.status == 0, done.err
    heading, *rows = done.out.splitlines()
    assert heading.split() == [
        "Node", "Site", "State", "Seen", "Lag", "Load", "Sockets", "Findings", "Waiting", "Dropped", "Version",
        "Remarks",
    ]  # fmt: skip
    assert [row.split()[:3] for row in rows] == [
        ["node0", "paris", "alive"], ["node2", "paris", "alive"], ["node1", "tokyo", "alive"],
    ]  # fmt: skip
    assert done.err == "portside: 3 nodes: 3 alive\n"
    first, *_ = lines_of(fleet(three, "nodes", "--json").out)
    assert first["node"] == "node0"
    assert first["state"] == "alive"
    assert first["connections"] == 3
    assert first["findings"] == 1
    assert first["outbox"] == {"records": 0, "bytes": 0, "oldest_s": None, "dropped": 0}


def test_one_site_and_one_node(three: str) -> None:
    for command in QUERIES:
        found = lines_of(fleet(three, command, "--json", "--site", "tokyo").out)
        text = json.dumps(found)
        assert "node1" in text or command == "top" or not found, command
        if command != "connections":  # it shows the other end, too
            assert "node0" not in text, command
    assert [each["node"] for each in lines_of(fleet(three, "nodes", "--json", "--node", "node2").out)] == ["node2"]
    nobody = fleet(three, "nodes", "--node", "nobody")
    assert (nobody.status, nobody.out) == (0, "")
    assert "no node has given a sign of life" in nobody.err


@pytest.mark.skipif(LIBRARY is None and not os.environ.get("CI"), reason="needs libfaketime (Debian: faketime)")
@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_reader_whose_clock_is_wrong(three: str, tmp_path: Path, ahead_s: int) -> None:
    """Ages are by the broker's clock, also those that ``--since`` asks for."""
    clock = WallClock(tmp_path)
    clock.set(ahead_s)

    def asked(*words: str) -> list[dict[str, Any]]:
        return lines_of(fleet(three, *words, "--json", env=clock.environment).out)

    nodes = asked("nodes", "--since", "10m")
    assert [each["state"] for each in nodes] == ["alive"] * 3
    assert all(0 < each["age_s"] < 600 for each in nodes)
    for command in ("events", "top", "connections", "findings"):
        right = lines_of(fleet(three, command, "--json", "--since", "10m").out)
        assert len(asked(command, "--since", "10m")) == len(right) > 0, command


def test_an_answer_with_nothing_in_it_says_why(three: str) -> None:
    for words, said in (
        (("findings", "--node", "nobody"), "no node has given a sign of life"),
        (("connections", "--site", "nowhere"), "no such node has told its open connections"),
        (("connections", "--node", "node1", "sport = :1"), "no open connections that match on 1 node\n"),
    ):
        done = fleet(three, *words)
        assert (done.status, done.out) == (0, "")
        assert said in done.err


def test_names_that_are_the_same_word_of_a_subject(url: str) -> None:
    publish(url, [message("node", status(time.time()), node=name) for name in ("web.1", "web_1", "web 1")])
    assert [each["node"] for each in lines_of(fleet(url, "nodes", "--json").out)] == ["web 1", "web.1", "web_1"]
    assert [each["node"] for each in lines_of(fleet(url, "nodes", "--json", "--node", "web.1").out)] == ["web.1"]


def test_top(three: str) -> None:
    done = fleet(three, "top")
    heading, *rows = done.out.splitlines()
    assert heading.split()[:2] == ["Program", "Connections"]
    assert [row.split()[:2] for row in rows] == [["app", "3"], ["postgres", "3"]]
    found = {each["program"]: each for each in lines_of(fleet(three, "top", "--json").out)}
    assert found["app"]["bytes_sent"] == 3000
    assert found["app"]["rtt_us"] == 300
    assert found["app"]["opened"] == 6
    assert found["postgres"]["resets"] == 3
    assert found["postgres"]["nodes"] == 3


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("--by", "resets"), {"program": "postgres"}),
        (("--by", "bytes"), {"program": "app"}),
        (("--by", "retransmits", "--group", "port"), {"port": "(outgoing)"}),
        (("--by", "resets", "--group", "node"), {"site": "paris", "node": "node2"}),
        (("--group", "remote"), {"remote": "10.0.0.0/24"}),
        (("program = postgres",), {"program": "postgres"}),
        (("--limit", "1", "node = node1 sport = :5432"), {"program": "postgres"}),
    ],
)
def test_top_by_and_group_and_filter(three: str, words: tuple[str, ...], first: dict[str, object]) -> None:
    found = lines_of(fleet(three, "top", "--json", *words).out)[0]
    assert {key: found[key] for key in first} == first


def test_top_over_more_than_a_minute(url: str) -> None:
    at = time.time()
    minutes = [summary("app", at - 60 * age, bytes_sent=10, sockets=age + 1) for age in (3, 2, 1, 0)]
    publish(url, [message("summary", each, seq=seq) for seq, each in enumerate(minutes, 1)])
    (row,) = lines_of(fleet(url, "top", "--json").out)
    assert (row["bytes_sent"], row["connections"]) == (10, 1)
    (row,) = lines_of(fleet(url, "top", "--json", "--since", "1h").out)
    assert (row["bytes_sent"], row["connections"]) == (40, 1)


def test_events(three: str) -> None:
    done = fleet(three, "events")
    assert done.status == 0, done.err
    heading, *rows = done.out.splitlines()
    assert heading.split()[:3] == ["Time", "Event", "Node"]
    assert len(rows) == 9
    postgres = next(row for row in rows if "postgres" in row)
    assert "closed  node0" in postgres
    assert postgres.endswith("77/postgres  (stands for 3)")
    assert " 50 " in postgres
    assert "2.500ms" in postgres
    assert next(row for row in rows if " server 55 " in row).endswith("conn=1 peer=192.0.2.9:1234")
    found = lines_of(fleet(three, "events", "--json", "program = postgres node = node1").out)
    (event,) = found
    assert list(event)[:5] == ["site", "node", "event", "at", "seen"]
    assert event["socket"]["local"] == "10.0.1.1:5432"
    assert event["of"] == 3
    assert [each["server"] for each in lines_of(fleet(three, "events", "--json", "node = node1").out) if "conn" in each]
    nothing = fleet(three, "events", "sport = :1")
    assert (nothing.status, nothing.out) == (0, "")
    assert "no event within this time" in nothing.err


def test_events_of_a_time(url: str) -> None:
    publish(url, [message("closed", closed(socket(), time.time() - 86400), at=time.time() - 86400)])
    done = fleet(url, "events")
    assert done.out.splitlines()[1].startswith("-- "), done.out
    assert len(done.out.splitlines()) == 3


def test_connections(three: str) -> None:
    done = fleet(three, "connections")
    assert done.status == 0, done.err
    heading, *rows = done.out.splitlines()
    assert heading.split()[:4] == ["Node", "Recv-Q", "Send-Q", "Local"]
    assert [row.split() for row in rows] == [
        [f"node{number}", "0", str(100 + number), f"10.0.{number}.1:40000", f"node{other}", "7", "0",
         f"10.0.{other}.1:5432", "ESTABLISHED", "77/app", "->", "77/postgres"]
        for number, other in ((2, 0), (1, 2), (0, 1))
    ]  # fmt: skip
    assert "3 connections on 3 nodes: both ends of 3 are in the fleet" in done.err
    first = lines_of(fleet(three, "connections", "--json").out)[0]
    assert [end["node"] for end in first["ends"]] == ["node2", "node0"]
    assert first["ends"][1]["socket"]["recv_q"] == 7
    assert (first["waiting"], first["ambiguous"]) == (109, False)
    found = lines_of(fleet(three, "connections", "--json", "sendq > 101 node = node2").out)
    assert [each["waiting"] for each in found] == [109]
    assert len(lines_of(fleet(three, "connections", "--json", "--node", "node1").out)) == 2


def test_connections_that_had_no_room(url: str) -> None:
    publish(url, [message("open", opened(socket(), at=time.time(), total=5000))])
    assert "web1 told 1 of 5000, 4999 are missing" in fleet(url, "connections").err


def test_findings(three: str) -> None:
    done = fleet(three, "findings")
    assert done.status == 0, done.err
    assert done.out.splitlines() == [
        "critical  close-wait-leak   2 nodes: node0, node2",
        "          node2: 10.0.0.1:5432  77/postgres",
        "          214 connections wait for close()",
        "          Evidence: 3 close wait.",
        "          Do: close it",
    ]
    (found,) = lines_of(fleet(three, "findings", "--json").out)
    assert found["nodes"] == [{"site": "paris", "node": name, "count": 1} for name in ("node0", "node2")]
    assert (found["subjects"], found["count"], found["ended"]) == (2, 4, False)
    assert found["example"]["subject"]["program"] == "postgres"


def test_findings_that_have_ended(url: str) -> None:
    at = time.time()
    told = [findings(finding(last_seen=at), at=at - 1), findings(at=at)]
    publish(url, [message("node", status(at))])
    publish(url, [message("findings", each, seq=seq) for seq, each in enumerate(told, 5)])
    now = fleet(url, "findings")
    assert now.out == ""
    assert "nothing found: 1 node alive" in now.err
    then = fleet(url, "findings", "--since", "1h")
    assert then.out.startswith("ended     close-wait-leak   1 node: web1")
    assert f"Seen last at {iso(at)}." in then.out


def test_what_a_node_that_is_gone_told_is_not_now(url: str) -> None:
    publish(url, [message("node", status(time.time(), last=True)), message("findings", findings(finding()), seq=2)])
    done = fleet(url, "findings")
    assert done.out == ""
    assert "what 1 node told before being gone" in done.err


def test_a_hundred_nodes(url: str) -> None:
    publish(url, simulated(100))
    assert len(lines_of(fleet(url, "nodes", "--json").out)) == 100
    (app, postgres) = lines_of(fleet(url, "top", "--json").out)
    assert (app["connections"], postgres["nodes"]) == (100, 100)
    assert len(lines_of(fleet(url, "events", "--json", "program = app").out)) == 100
    assert sum(len(each["ends"]) == 2 for each in lines_of(fleet(url, "connections", "--json").out)) == 100
    assert "50 nodes: node0, node10, node12, node14 and 46 more" in fleet(url, "findings").out


def test_json_payload_is_read_as_well(url: str) -> None:
    publish(url, node_messages(0, 1), json=True)
    assert [each["node"] for each in lines_of(fleet(url, "nodes", "--json").out)] == ["node0"]


def test_two_agents_of_one_name(url: str) -> None:
    at = time.time()
    for seq in (1, 2):
        publish(url, [message("node", status(at, machine=boot), boot=boot, seq=seq) for boot in ("a", "b")])
    (node,) = lines_of(fleet(url, "nodes", "--json").out)
    assert node["agents"] == 2
    assert "2 agents use this name" in fleet(url, "nodes").out


# What is wrong with the stream, the broker, or what is asked for.


@pytest.mark.parametrize("command", QUERIES)
def test_no_stream(nats: NatsServer, command: str) -> None:
    done = fleet(nats.url, command)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"portside: {nats.url}: there is no stream PORTSIDE\nhint: `portside fleet init` makes it\n"


@pytest.mark.parametrize("command", ["init", *QUERIES])
def test_no_broker(command: str) -> None:
    done = fleet(f"nats://127.0.0.1:{free_port()}", command)
    assert (done.status, done.out) == (1, "")
    assert len(done.err.splitlines()) == 2
    assert "hint: is a nats-server with JetStream" in done.err


@pytest.mark.parametrize("command", ["top", "events", "connections"])
def test_a_mistake_in_a_filter(command: str) -> None:
    done = fleet("nats://127.0.0.1:1", command, "sprot = :5")
    assert done.status == 2
    assert "did you mean sport?" in done.err
    assert "\n      ^^^^^" in done.err


def test_what_cannot_be_read_is_counted_and_said_once(three: str) -> None:
    at = time.time()
    publish(
        three,
        [
            ("portside.paris.bad.node", b"\x00\xff garbage"),
            ("portside.paris.bad2.node", b'{"v":1,"kind":"node"'),
            ("portside.paris.bad3.node", b""),
            ("portside.paris.bad4.node", b'{"v":1,"nested":' + b"[" * 100_000),
        ],
    )
    publish(three, [message("node", status(at), node="new", v=99)])
    other = message("node", status(at), node="liar")
    publish(three, [("portside.paris.honest.node", encode(other))])
    done = fleet(three, "nodes", "--json")
    assert done.status == 0
    assert [each["node"] for each in lines_of(done.out)] == ["node0", "node2", "node1"]
    assert "1 message of a later version left out" in done.err
    assert "5 messages left out that cannot be read" in done.err
    assert "Traceback" not in done.err


def test_a_number_that_nothing_else_can_write(url: str) -> None:
    huge = b'"records":1000000000000000000000000000000'
    data = encode(message("node", status(time.time())), json=True).replace(b'"records":100', huge)
    assert huge in data
    publish(url, [("portside.paris.web1.node", data)])
    for words in ((), ("--json",)):
        done = fleet(url, "nodes", *words)
        assert (done.status, done.out) == (0, "")
        assert "1 message left out that cannot be read" in done.err


def test_a_message_that_comes_twice(url: str) -> None:
    told = message("closed", closed(socket(), time.time()))
    publish(url, [told, told], numbered=False)
    done = fleet(url, "events", "--json")
    assert len(lines_of(done.out)) == 1
    assert "1 message left out that came a second time" in done.err
