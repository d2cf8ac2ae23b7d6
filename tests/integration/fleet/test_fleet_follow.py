"""``portside fleet … --follow``: JSON lines of what changes, a terminal drawn anew, and its end; hostile names."""

import asyncio
import json
import os
import time
from typing import Any

import pytest
from conftest import Start
from fleet_publisher import fleet, publish, simulated
from fleet_records import closed, finding, findings, message, opened, socket, status, summary
from hostile import FIELD, on_terminal, unsafe
from nats_server import NatsServer
from support import wait_until

from portside.diagnosis.findings import Subject
from portside.fleet.broker import connect
from portside.fleet.schema import Kind, ServerEvent
from portside.settings.broker import BrokerOptions

STATES = ("nodes", "top", "connections", "findings")


@pytest.fixture
def url(nats: NatsServer) -> str:
    """A server with the stream."""
    assert fleet(nats.url, "init", "--max-bytes", "100M").status == 0
    return nats.url


def consumers(url: str) -> int:
    async def ask() -> int:
        broker = await connect(BrokerOptions(nats=(url,)), name="test")
        try:
            return (await broker.jetstream.stream_info("PORTSIDE")).state.consumer_count
        finally:
            await broker.close()

    return asyncio.run(ask())


def test_events_follow(url: str, start: Start) -> None:
    following = start("fleet", "events", "--nats", url, "--follow", "--json", "--since", "1h")
    wait_until(lambda: consumers(url) == 1, "a consumer")
    publish(url, [message("closed", closed(socket(), time.time()), seq=seq) for seq in (1, 2)])
    following.wait_for('"event":"closed"', count=2)
    assert following.stop() == 0
    wait_until(lambda: consumers(url) == 0, "the server to have forgotten it, long before it would by itself", 20)
    assert not following.err


def test_events_follow_in_text(url: str, start: Start) -> None:
    following = start("fleet", "events", "--nats", url, "--follow", "retrans > 0")
    following.wait_for("^Time .*Node")
    some = [closed(socket(retrans_total=lost), time.time()) for lost in (0, 9)]
    publish(url, [message("closed", *some)])
    following.wait_for("closed  web1")
    assert following.stop() == 0
    assert len(following.lines) == 2


@pytest.mark.parametrize("command", STATES)
def test_what_changes_is_a_line_of_json(url: str, start: Start, command: str) -> None:
    publish(url, simulated(2))
    following = start("fleet", command, "--nats", url, "--follow")
    following.wait_for("^{")
    at = time.time()
    kinds: dict[str, Any] = {
        "nodes": ("node", status(at)),
        "top": ("summary", summary("brand-new", at)),
        "connections": ("open", opened(socket("10.9.9.9:1"), at=at)),
        "findings": ("findings", findings(finding("orphans", "warning"), at=at)),
    }
    kind, record = kinds[command]
    sign = message("node", status(at), node="new", boot="n")
    publish(url, [sign, message(kind, record, node="new", boot="n", seq=9, at=at)])
    following.wait_for(
        {"nodes": '"new"', "top": "brand-new", "connections": "10.9.9.9", "findings": "orphans"}[command]
    )
    assert following.stop() == 0
    assert all(isinstance(event, dict) for event in following.events)


def test_what_has_gone_is_a_line_of_json(url: str, start: Start) -> None:
    at = time.time()
    publish(url, [message("open", opened(socket(), at=at))])
    following = start("fleet", "connections", "--nats", url, "--follow")
    following.wait_for("10.0.0.1:5432")
    publish(url, [message("open", opened(at=at), seq=2)])
    following.wait_for('"gone":true')
    gone = following.events[-1]
    assert gone["ends"][0]["socket"] == {"local": "10.0.0.1:5432", "remote": "10.0.0.2:40000"}
    assert following.stop() == 0


@pytest.mark.parametrize("command", STATES)
def test_a_terminal_is_drawn_anew(url: str, command: str) -> None:
    publish(url, simulated(2))
    with on_terminal("fleet", command, "--nats", url, "--follow", expected="\n\x1b") as (program, terminal):
        wait_until(lambda: terminal.shown.count(b"\x1b[H") > 1, "a second picture")
        assert program.stop() == 0
    assert b"ode" in terminal.shown
    assert b"\x1b[2J" in terminal.shown


def test_the_broker_goes_and_comes_back(nats: NatsServer, url: str, start: Start) -> None:
    publish(url, [message("closed", closed(socket(), time.time()), seq=1)])
    following = start("fleet", "events", "--nats", url, "--follow", "--json", "--since", "1h")
    following.wait_for('"event":"closed"')
    nats.kill()
    following.wait_for("the connection is lost", err=True)
    nats.start()
    following.wait_for("connected again", err=True)
    publish(url, [message("closed", closed(socket(), time.time()), seq=2)])
    following.wait_for('"event":"closed"', count=2)
    assert following.stop() == 0
    assert len(following.lines) == 2
    assert b"second time" not in following.err


def test_the_stream_is_deleted_and_made_again(url: str, start: Start) -> None:
    publish(url, [message("closed", closed(socket(), time.time()), seq=1)])
    following = start("fleet", "events", "--nats", url, "--follow", "--json", "--since", "1h")
    following.wait_for('"event":"closed"')

    async def delete() -> None:
        broker = await connect(BrokerOptions(nats=(url,)), name="test")
        await broker.jetstream.delete_stream("PORTSIDE")
        await broker.close()

    asyncio.run(delete())
    assert fleet(url, "init", "--max-bytes", "100M").status == 0
    publish(url, [message("closed", closed(socket(), time.time()), seq=2)])
    following.wait_for('"event":"closed"', count=2)
    assert following.stop() == 0


def test_a_reader_that_goes_away(url: str, start: Start) -> None:
    reading, writing = os.pipe()
    following = start("fleet", "events", "--nats", url, "--follow", stdout=writing)
    os.close(writing)
    assert os.read(reading, 4) == b"Time"
    os.close(reading)
    assert following.wait() == 0


def hostile_messages() -> list[Any]:
    at = time.time()
    owned = socket(FIELD, FIELD, program=FIELD, state=FIELD)
    wrong = finding(
        FIELD, "critical", Subject(kind=FIELD, pid=1, program=FIELD, local=FIELD, remote=FIELD), summary=FIELD
    )
    event = ServerEvent(pid=1, event={"event": FIELD, "at": FIELD, FIELD: FIELD, "list": [FIELD, {FIELD: FIELD}]})
    kinds: list[tuple[Kind, Any]] = [
        ("node", status(at, version=FIELD, system=FIELD, notes=(FIELD,), load=float("nan"), every_s=float("inf"))),
        ("open", opened(owned, at=at)),
        ("findings", findings(wrong, at=at, code=FIELD)),
        ("summary", summary(FIELD, at, remote=FIELD, state=FIELD)),
        ("closed", closed(owned, at, duration=float("nan"), was=FIELD)),
        ("server", event),
    ]
    return [
        message(kind, record, node=FIELD, site=FIELD, boot=FIELD, seq=number, at=at)
        for number, (kind, record) in enumerate(kinds, 1)
    ]


def test_what_is_too_deep_is_left_out(url: str) -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    publish(url, [message("server", ServerEvent(pid=1, event={"event": "opened", "deep": deep}))])
    publish(url, [message("closed", closed(socket(deep=deep), time.time()), seq=2)])
    for words in ((), ("--json",)):
        done = fleet(url, "events", *words)
        assert (done.status, done.out) == (0, "")
        assert "2 messages left out that cannot be read" in done.err


@pytest.mark.parametrize("command", ["events", *STATES])
def test_names_from_elsewhere_reach_no_terminal(url: str, command: str) -> None:
    publish(url, hostile_messages())
    for words in ((), ("--json",), ("--group", "remote") if command == "top" else ("--since", "1h")):
        with on_terminal("fleet", command, "--nats", url, *words) as (program, terminal):
            assert program.wait() == 0
        assert terminal.shown, (command, words, bytes(program.err))
        if "--json" in words:
            assert all(json.loads(line) for line in terminal.shown.decode().splitlines())
    with on_terminal("fleet", command, "--nats", url, "--follow", expected="\n\x1b") as (program, terminal):
        wait_until(lambda: len(terminal.shown) > 20, "a picture")
        assert program.stop() == 0
    for drawn in (b"\x1b[H", b"\x1b[K", b"\x1b[J", b"\x1b[2J"):
        terminal.shown[:] = terminal.shown.replace(drawn, b"")
    assert unsafe(bytes(terminal.shown)) == []
