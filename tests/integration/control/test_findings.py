"""``GET /api/v1/findings``: what ``diagnose`` says, from watches that all who ask share."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from api_client import ask
from conftest import Start
from support import Program, connect, wait_until

from portside.control import findings_watch
from portside.control.findings_watch import FindingsWatch, FindingsWatches, TooManyWatches
from portside.errors import PortsideError
from portside.kernel.filter import parse
from portside.kernel.filter.tree import EVERYTHING
from portside.kernel.resolver import SystemResolver


@contextmanager
def overflowing() -> Iterator[int]:
    """A listener whose accept queue is full: its port. The kernel takes backlog + 1 connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        port = listener.getsockname()[1]
        clients = []
        for _ in range(6):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            clients.append(client)
        yield port
        for client in clients:
            client.close()


def findings(server: Program, query: str = "") -> Any:
    assert server.port
    answer = ask(server, f"/api/v1/findings{query}")
    assert answer.status == 200, answer.body
    return answer.json


def codes(found: Any, port: int) -> set[str]:
    return {each["code"] for each in found["items"] if str(port) in each["subject"].get("local", "")}


def test_what_is_wrong_is_said_and_gone_when_it_is_mended(listen: Start) -> None:
    server = listen()
    with overflowing() as port:
        query = f"?filter={quote(f'sport = :{port}')}"
        wait_until(lambda: "accept-queue-overflow" in codes(findings(server, query), port), "the finding")
        found = findings(server, query)
        assert found["looks"] >= 2
        assert found["watched"] > 0
        (item,) = [each for each in found["items"] if each["code"] == "accept-queue-overflow"]
        assert item["severity"] in ("warning", "critical")
        assert item["subject"]["kind"] == "listener"
        assert item["evidence"]
        assert item["remedy"]
        assert item["first_seen"] <= item["last_seen"]
        assert item["conns"] == []
    wait_until(lambda: not codes(findings(server, query), port), "the finding to be gone")


def test_the_connections_of_the_server_that_are_in_a_finding(listen: Start) -> None:
    """The server reads from nobody, and each client has sent all that the kernel takes."""
    server = listen("--fault", "stall in", "--keepalive", "off")
    clients = [connect(server.port) for _ in range(2)]
    for client in clients:
        client.setblocking(False)
        try:
            while True:
                client.send(b"x" * 65536)
        except BlockingIOError:
            pass

    def of_receiver() -> list[Any]:
        return [each for each in findings(server)["items"] if each["code"] == "receiver-slow" and each["conns"]]

    wait_until(lambda: bool(of_receiver()), "a finding about the server's own connections")
    wait_until(lambda: of_receiver()[0]["conns_total"] == 2, "both connections in it")
    assert of_receiver()[0]["conns"] == [1, 2]
    assert of_receiver()[0]["subject"]["pid"] == server.process.pid
    for client in clients:
        client.close()


def test_what_is_less_severe_can_be_left_out(listen: Start) -> None:
    server = listen()
    with overflowing():
        wait_until(lambda: findings(server)["total"] > 0, "a finding")
        found = findings(server, "?min_severity=critical")
        assert {each["severity"] for each in found["items"]} <= {"critical"}
        assert found["total"] == len(found["items"])
    assert ask(server, "/api/v1/findings?min_severity=awful").status == 400


def test_a_filter_that_cannot_be_read(listen: Start) -> None:
    server = listen()
    assert server.port
    answer = ask(server, f"/api/v1/findings?filter={quote('stat established')}")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "stat" in answer.json["detail"]
    assert answer.json["position"] == 0


def threads_of(server: Program) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def test_nobody_pays_for_findings_that_nobody_asks_for_and_the_server_ends_while_somebody_waits(listen: Start) -> None:
    server = listen()
    assert server.port
    assert ask(server, "/api/v1/connections").status == 200
    before = threads_of(server)
    assert ask(server, "/api/v1/sockets").status == 200
    assert threads_of(server) == before
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, server, "/api/v1/findings")
        wait_until(lambda: threads_of(server) > before, "the watch")
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0
        waiting.exception()  # an answer or the end of the connection: it does not wait for ever


# The watches, without a server.


class Counted(FindingsWatch):
    """A watch that counts the threads that were begun."""

    begun = 0

    def start(self) -> None:
        type(self).begun += 1
        super().start()


def test_all_who_ask_share_one_watch() -> None:
    async def run() -> None:
        Counted.begun = 0
        watches = FindingsWatches(asyncio.get_running_loop(), Counted)
        found = await asyncio.gather(*(watches.ask("", EVERYTHING) for _ in range(50)))
        assert Counted.begun == 1
        assert len({each.looks for each in found}) == 1
        later = await watches.ask("", EVERYTHING)
        assert later.looks >= found[0].looks
        assert Counted.begun == 1
        await watches.close()
        assert not any(each.name == "portside-findings" for each in threading.enumerate())

    asyncio.run(run())


def test_one_who_leaves_while_he_waits_harms_nobody() -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        leaving = asyncio.ensure_future(watches.ask("", EVERYTHING))
        staying = asyncio.ensure_future(watches.ask("", EVERYTHING))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).looks >= 2
        await watches.close()

    asyncio.run(run())


def test_the_number_of_watches_is_bounded() -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        trees = {f"sport = :{port}": parse(f"sport = :{port}", SystemResolver()) for port in range(1, 5)}
        asked = [asyncio.ensure_future(watches.ask(text, tree)) for text, tree in trees.items()]
        await asyncio.sleep(0)
        with pytest.raises(TooManyWatches):
            await watches.ask("sport = :9", parse("sport = :9", SystemResolver()))
        assert watches.scrape() is None
        await asyncio.gather(*asked)
        await watches.close()

    asyncio.run(run())


def test_one_that_has_not_been_asked_for_some_time_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        for port in range(1, 5):
            await watches.ask(f"sport = :{port}", parse(f"sport = :{port}", SystemResolver()))
        monkeypatch.setattr(findings_watch, "_SCRAPED", (0.0, 150.0))
        assert (await watches.ask("sport = :9", parse("sport = :9", SystemResolver()))).looks >= 2
        await watches.close()

    asyncio.run(run())


def test_a_watch_ends_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(findings_watch, "_ASKED", (0.01, 0.05))
        monkeypatch.setattr(findings_watch, "_SCRAPED", (0.01, 0.05))
        watch = FindingsWatch(asyncio.get_running_loop(), EVERYTHING)
        watch.start()
        await asyncio.get_running_loop().run_in_executor(None, watch._thread.join, 10)
        assert watch.is_over
        assert watch.error is None

    asyncio.run(run())


def test_scrapes_are_answered_from_the_second_look_on() -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        assert watches.scrape() is None
        await watches.ask("", EVERYTHING)
        found = watches.scrape()
        assert found is not None
        assert found.looks >= 2
        await watches.close()

    asyncio.run(run())


def test_a_machine_that_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each who waits is told, and the next begins anew."""

    def broken(self: object) -> None:
        raise PortsideError("sock_diag", "no permission")

    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        with monkeypatch.context() as patched:
            patched.setattr("portside.app.diagnose_source.DiagnosisSource.observe", broken)
            with pytest.raises(PortsideError, match="no permission"):
                await watches.ask("", EVERYTHING)
        assert (await watches.ask("", EVERYTHING)).looks >= 2
        await watches.close()

    asyncio.run(run())


def test_metrics_have_the_findings(listen: Start) -> None:
    server = listen()
    assert server.port

    def metric_lines() -> list[str]:
        text = ask(server, "/metrics").body.decode()
        return [line for line in text.splitlines() if line.startswith("portside_finding{")]

    with overflowing():
        wait_until(lambda: any('code="accept-queue-overflow"' in line for line in metric_lines()), "the metric")
