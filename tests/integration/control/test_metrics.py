"""The counts of the server, in ``/api/v1/server`` and ``/metrics``: those from before the first client included."""

import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api_client import ask, page_of
from conftest import Start
from support import Program, connect, fill, listening_port, read_to_end, reset, wait_until

EXAMPLE = Path(__file__).parents[3] / "examples" / "prometheus.yml"


def metrics(server: Program) -> dict[str, float]:
    """The metrics of a server, by name and labels."""
    answer = ask(server, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_counts_are_those_since_the_start(listen: Start) -> None:
    server = listen("--echo", "--max-conns", "2", "--format", "json")
    with connect(server.port) as one, connect(server.port) as two:
        two.sendall(b"hello\n")
        assert two.recv(100) == b"hello\n"
        connect(server.port).close()
        server.wait_for('"refused"')
        reset(two)
        server.wait_for('"closed"')
        with connect(server.port) as three:
            three.sendall(b"x")
            three.shutdown(socket.SHUT_WR)
            assert read_to_end(three) == b"x"
        server.wait_for('"closed"', count=2)
        one.sendall(b"12345")
        assert one.recv(100) == b"12345"
        told = ask(server, "/api/v1/server").json["counts"]
        assert told == {
            "open": 1,
            "opened": 3,
            "closed": {"peer_reset": 1, "peer_closed": 1},
            "refused": {"max_conns": 1},
            "received": 12,
            "sent": 12,
        }
        shown = metrics(server)
        assert shown[f'portside_connections{{listener="127.0.0.1:{server.port}"}}'] == 1
        assert shown["portside_connections_opened_total"] == 3
        assert shown['portside_connections_closed_total{reason="peer_reset"}'] == 1
        assert shown['portside_connections_closed_total{reason="idle_timeout"}'] == 0
        assert shown['portside_refused_total{reason="max_conns"}'] == 1
        assert shown["portside_received_bytes_total"] == shown["portside_sent_bytes_total"] == 12


def test_a_connection_counts_at_the_listener_that_accepted_it(start: Start) -> None:
    server = start("listen", "0.0.0.0:0", "127.0.0.1:0", "--format", "json")
    server.wait_for('"listening"', count=2)
    first, second = (event["address"] for event in server.events if event["event"] == "listening")
    with connect(int(first.rpartition(":")[2])):
        server.wait_for('"opened"')
        shown = metrics(server)
        assert shown[f'portside_connections{{listener="{first}"}}'] == 1
        assert shown[f'portside_connections{{listener="{second}"}}'] == 0


def test_the_accept_queue_is_seen(listen: Start) -> None:
    """The fault leaves clients waiting in the queue, which has room for 2 and takes one more."""
    server = listen("--backlog", "2", "--fault", "never-accept")
    label = f'{{listener="127.0.0.1:{server.port}"}}'
    waiting = [connect(server.port) for _ in range(3)]
    late = socket.socket()
    late.setblocking(False)
    late.connect_ex(("127.0.0.1", server.port))
    wait_until(lambda: metrics(server)[f"portside_listener_drops_total{label}"] > 0, "a client to be dropped")
    shown = metrics(server)
    assert shown[f"portside_listener_accept_queue{label}"] == 3
    assert shown[f"portside_listener_accept_queue_limit{label}"] == 2
    (told,) = ask(server, "/api/v1/server").json["listeners"]
    assert (told["accept_queue"], told["accept_queue_limit"]) == (3, 2)
    assert told["drops"] > 0
    for client in (*waiting, late):
        client.close()


def test_a_unix_socket_has_no_queue_that_is_known(start: Start, tmp_path: object) -> None:
    server = start("listen", f"unix:{tmp_path}/x.sock")
    server.wait_for("listening")
    (told,) = ask(server, "/api/v1/server").json["listeners"]
    assert (told["family"], told["accept_queue"], told["drops"]) == ("unix", None, None)
    assert "portside_listener_accept_queue{" not in ask(server, "/metrics").body.decode()


def test_rates_are_unknown_and_then_measured(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    assert ask(server, "/api/v1/server").json["rates"] == dict.fromkeys(("opened", "closed", "received", "sent"))
    with connect(server.port) as client:

        def received() -> float:
            client.sendall(b"x" * 20_000)
            return ask(server, "/api/v1/server").json["rates"]["received"] or 0.0

        rate = wait_until(received, "a rate")
    assert rate >= 100


def test_promtool_finds_nothing_wrong(listen: Start) -> None:
    server = listen()
    text = ask(server, "/metrics").body if server.port else b""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_prometheus_scrapes_a_server_with_its_token(listen: Start, tmp_path: Path) -> None:
    server = listen("--web")
    page = page_of(server)
    config = EXAMPLE.read_text().replace("127.0.0.1:8080", page.address)
    (tmp_path / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s}}\n{config}")
    (tmp_path / "portside.token").write_text(page.token)
    prometheus = Program(
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:0",
        command=("prometheus",),
    )
    try:
        port = wait_until(lambda: listening_port(prometheus.process.pid), "Prometheus to listen")
        with connect(server.port):
            connections = wait_until(lambda: _query(port, "portside_connections"), "a scrape")
        assert connections[0]["metric"]["listener"] == f"127.0.0.1:{server.port}"
        refused = wait_until(lambda: _query(port, "portside_refused_total"), "another one")
        # A scrape that takes longer than the second between two of them counts as none.
        wait_until(lambda: [each["value"][1] for each in _query(port, "up{job='portside'}")] == ["1"], "one in time")
        assert {each["metric"]["reason"] for each in refused} >= {"denied", "max_conns"}
    finally:
        prometheus.kill()


def _query(port: int, query: str) -> list[dict[str, Any]]:
    """The result of a query of Prometheus; empty until it has scraped."""
    answer = ask(f"127.0.0.1:{port}", f"/api/v1/query?query={quote(query)}")
    found: list[dict[str, Any]] = answer.json["data"]["result"] if answer.status == 200 else []
    return found


def test_bytes_that_wait_in_the_kernel_are_seen(start: Start) -> None:
    """A client sends and does not read its echo, until the server reads no more."""
    server = start("listen", "127.0.0.1:0", "127.0.0.1:0", "--format", "json", "--echo")
    server.wait_for('"listening"', count=2)
    first, second = (event["address"] for event in server.events if event["event"] == "listening")
    with connect(int(first.rpartition(":")[2])) as client:
        fill(client, reader=server)

        def waits(which: str, listener: str) -> float:
            return metrics(server)[f'portside_{which}_queue_bytes{{listener="{listener}"}}']

        wait_until(lambda: waits("recv", first) > 10_000, "bytes that the server does not read")
        wait_until(lambda: waits("send", first) > 10_000, "bytes that the client does not read")
        assert waits("recv", second) == waits("send", second) == 0
