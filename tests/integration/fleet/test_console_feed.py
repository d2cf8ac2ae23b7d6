"""The feed of the consoles, from a real broker: the state, what comes, and a broker that goes away and comes back."""

from collections.abc import Iterator
from typing import Any

import pytest
from fleet_agents import Agents, three_machines
from fleet_records import finding, socket
from fleet_stream import delete_stream, make_stream
from nats_server import NatsServer
from support import DEADLINE_S, free_port, wait_until

from portside.control.client.http_client import Unreachable
from portside.errors import PortsideError
from portside.fleet.console.api import FleetApi
from portside.fleet.console.feed import FleetFeed
from portside.settings.broker import BrokerOptions


@pytest.fixture
def agents(nats: NatsServer) -> Agents:
    make_stream(nats.url)
    return three_machines(nats.url)


@pytest.fixture
def api(agents: Agents) -> Iterator[FleetApi]:
    with FleetFeed(BrokerOptions(nats=(agents.url,))) as api:
        yield api


def ask(api: FleetApi, path: str, **query: str | int) -> Any:
    return api.request("GET", f"/api/v1/{path}", query=query)


def locals_of(api: FleetApi) -> set[str]:
    return {each["local"] for each in ask(api, "sockets")["items"]}


def is_lost(api: FleetApi) -> bool:
    try:
        ask(api, "server")
    except Unreachable:
        return True
    return False


def test_what_the_stream_has_is_there_from_the_beginning(api: FleetApi) -> None:
    assert ask(api, "server")["nodes"] == {"alive": 3, "late": 0, "gone": 0}
    assert locals_of(api) == {"10.0.0.1:80", "10.0.0.1:443", "10.0.0.2:80", "10.0.0.3:5432"}


def test_what_comes_is_there_too(api: FleetApi, agents: Agents) -> None:
    agents.open("web2", socket("10.0.0.2:81", "10.9.0.1:4003"))
    agents.found("web2", finding())
    wait_until(lambda: "10.0.0.2:81" in locals_of(api), "the new connection")
    assert "10.0.0.2:80" not in locals_of(api)
    wait_until(lambda: ask(api, "findings")["total"] == 1, "the finding")


def test_events_as_they_come(api: FleetApi, agents: Agents) -> None:
    agents.closed("web1", "10.0.0.1:80", "10.9.0.1:1")
    agents.closed("db1", "10.0.0.3:5432", "10.9.0.1:2", "postgres", site="oslo")
    agents.closed("web2", "10.0.0.2:80", "10.9.0.1:3")
    stream = iter(api.lines("/api/v1/events", query={"filter": "program = nginx"}))
    assert [(each["node"], each["peer"]) for each in (next(stream), next(stream))] == [
        ("web1", "10.9.0.1:1"),
        ("web2", "10.9.0.1:3"),
    ]


def test_one_site_alone(agents: Agents) -> None:
    with FleetFeed(BrokerOptions(nats=(agents.url,)), site="oslo") as api:
        assert [each["node"] for each in ask(api, "nodes")["items"]] == ["db1"]
        assert locals_of(api) == {"10.0.0.3:5432"}


def test_a_broker_that_goes_away_and_comes_back(api: FleetApi, agents: Agents, nats: NatsServer) -> None:
    agents.closed("web1", "10.0.0.1:80", "10.9.0.1:1")
    wait_until(lambda: len(list(api.lines("/api/v1/events", query={"follow": "false"}))) == 1, "the event")
    nats.kill()
    wait_until(lambda: is_lost(api), "it to be missed")
    nats.start()
    wait_until(lambda: not is_lost(api), "it to be back", 2 * DEADLINE_S)
    agents.open("web2", socket("10.0.0.2:82", "10.9.0.1:4004"))
    agents.closed("web2", "10.0.0.2:80", "10.9.0.1:2")
    wait_until(lambda: "10.0.0.2:82" in locals_of(api), "what was told since", 2 * DEADLINE_S)

    def peers() -> list[str]:
        return [each["peer"] for each in api.lines("/api/v1/events", query={"follow": "false"})]

    wait_until(lambda: len(peers()) > 1, "the next event", 2 * DEADLINE_S)
    assert peers() == ["10.9.0.1:1", "10.9.0.1:2"]  # the first of them once


def test_a_stream_that_is_made_anew(api: FleetApi, agents: Agents) -> None:
    delete_stream(agents.url)
    make_stream(agents.url)
    agents.open("web2", socket("10.0.0.2:83", "10.9.0.1:4005"))
    wait_until(lambda: "10.0.0.2:83" in locals_of(api), "what the new stream has", 2 * DEADLINE_S)


def test_no_stream(nats: NatsServer) -> None:
    with pytest.raises(PortsideError) as caught:
        FleetFeed(BrokerOptions(nats=(nats.url,))).start()
    assert "there is no stream PORTSIDE" in str(caught.value)
    assert "fleet init" in str(caught.value.hint)


def test_no_broker() -> None:
    with pytest.raises(PortsideError) as caught:
        FleetFeed(BrokerOptions(nats=(f"nats://me:s3cret@127.0.0.1:{free_port()}",))).start()
    assert "cannot connect to nats://127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_stream_without_anything(nats: NatsServer) -> None:
    make_stream(nats.url)
    with FleetFeed(BrokerOptions(nats=(nats.url,))) as api:
        assert ask(api, "server")["nodes"] == {"alive": 0, "late": 0, "gone": 0}
        assert ask(api, "sockets")["total"] == 0
