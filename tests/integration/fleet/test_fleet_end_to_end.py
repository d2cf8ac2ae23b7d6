"""``portside agent`` and ``portside fleet`` together, over real connections of this machine."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from conftest import Start
from fleet_publisher import fleet
from nats_server import NatsServer
from support import DEADLINE_S, free_port, wait_until


def rows(url: str, command: str, *words: str) -> list[dict[str, Any]]:
    """What a command says in JSON."""
    done = fleet(url, command, "--json", *words)
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def awaited(find: Callable[[], list[dict[str, Any]]], what: str) -> list[dict[str, Any]]:
    """What a command says, once it says something."""
    found: list[dict[str, Any]] = wait_until(find, what, 2 * DEADLINE_S)
    return found


def test_what_an_agent_publishes_is_what_fleet_shows(nats: NatsServer, start: Start, tmp_path: Path) -> None:
    url = nats.url
    assert fleet(url, "init", "--max-bytes", "100M").status == 0
    port = free_port()
    start(  # a small table is told every 10 s, that of a busy machine less often
        "agent", "--nats", url, "--node", "web1", "--site", "paris", "--interval", "100ms", "--filter", f"{port}",
        "--outbox", str(tmp_path / "outbox"), env={"XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    (node,) = awaited(lambda: rows(url, "nodes"), "a sign of life")
    assert (node["node"], node["site"], node["state"], node["agents"]) == ("web1", "paris", "alive", 1)
    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        listener.settimeout(DEADLINE_S)
        client = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        with closing(client), closing(listener.accept()[0]) as server:
            client.sendall(b"x" * 1000)  # which the other end does not read
            (connection,) = awaited(lambda: rows(url, "connections", f"{port} recvq > 0"), "it")
            assert connection["waiting"] == 1000
            assert [end["node"] for end in connection["ends"]] == ["web1", "web1"]
            here, there = (end["socket"] for end in connection["ends"])
            assert (here["remote"], there["recv_q"]) == (f"127.0.0.1:{port}", 1000)
            assert server.recv(2000) == b"x" * 1000
    closed = awaited(lambda: rows(url, "events", f"dport = :{port}"), "the end of the connection")
    assert {(each["event"], each["node"]) for each in closed} == {("closed", "web1")}
    assert closed[-1]["socket"]["info"]["bytes_sent"] == 1000
    assert closed[-1]["socket"]["owners"][0]["program"] == Path("/proc/self/comm").read_text().rstrip("\n")
