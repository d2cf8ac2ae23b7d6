"""``GET /api/v1/findings``: what ``diagnose`` says, from watches that all who ask share."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import pytest
from api_client import ask, control_path
from conftest import Start
from support import DEADLINE_S, Program, connect, wait_until

from portside.app.diagnose_source import DiagnosisSource
from portside.control import findings_watch
from portside.control.connection_ends import no_ends, numbers_with
from portside.control.findings_watch import FindingsWatch, FindingsWatches, Found, TooManyWatches
from portside.control.routes.findings import FindingsQuery
from portside.control.routes.findings import findings as answer
from portside.diagnosis.findings import Finding, Severity, Subject
from portside.diagnosis.observation import Observation
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
        listed = ask(server, f"/api/v1/sockets?view=listening&filter={quote(f'sport = :{port}')}").json["items"]
        assert item["inodes"] == [each["inode"] for each in listed]
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
    other = listen()
    query = f"?filter={quote(f'sport = :{server.port}')}"
    seen = wait_until(lambda: findings(other, query)["items"], "another server to find the same")
    assert [(each["conns"], each["conns_total"]) for each in seen] == [([], 0)] * len(seen)
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


def test_one_filter_more_than_can_be_watched_is_to_be_asked_later(listen: Start) -> None:
    server = listen()
    assert server.port
    paths = [f"/api/v1/findings?filter={quote(f'sport = :{port}')}" for port in range(1, 6)]
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda path: ask(server, path), paths))
    assert sorted(each.status for each in answers) == [200, 200, 200, 200, 503]
    (refused,) = [each for each in answers if each.status == 503]
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json["code"] == "busy"


def test_a_client_that_leaves_while_it_waits(listen: Start) -> None:
    server = listen()
    assert server.port
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control_path(server)))
        before = threads_of(server)
        client.sendall(b"GET /api/v1/findings HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: threads_of(server) > before, "the watch")
    assert findings(server)["looks"] >= 2
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert b"Traceback" not in server.err


def test_the_rules_are_not_loaded_before_somebody_asks() -> None:
    code = "import sys, portside.control.stack; sys.exit('portside.diagnosis.registry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


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

    def start(self, *, scraped: bool) -> None:
        type(self).begun += 1
        super().start(scraped=scraped)


def test_all_who_ask_share_one_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    observe, looks = DiagnosisSource.observe, 0

    def counted(self: DiagnosisSource) -> Observation:
        nonlocal looks
        looks += 1
        return observe(self)

    monkeypatch.setattr(DiagnosisSource, "observe", counted)

    async def run() -> None:
        Counted.begun = 0
        descriptors = len(os.listdir("/proc/self/fd"))
        watches = FindingsWatches(asyncio.get_running_loop(), Counted)
        found = await asyncio.gather(*(watches.ask("", EVERYTHING) for _ in range(50)))
        assert Counted.begun == 1
        assert len({each.looks for each in found}) == 1
        later = await watches.ask("", EVERYTHING)
        assert later.looks >= found[0].looks
        assert Counted.begun == 1
        await watches.close()
        assert looks < 50  # those of one watch, once a second: none for each who asks
        assert len(os.listdir("/proc/self/fd")) == descriptors
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
        await asyncio.gather(*asked)
        assert (await watches.ask("", EVERYTHING)).looks >= 2  # the one that all consoles ask for
        assert watches.scrape() is not None
        await watches.close()

    asyncio.run(run())


def test_one_that_has_not_been_asked_for_some_time_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        for port in range(1, 5):
            await watches.ask(f"sport = :{port}", parse(f"sport = :{port}", SystemResolver()))
        assert watches.tree_of("sport = :1") is not None
        monkeypatch.setattr(findings_watch, "_IN_USE_S", 0.0)
        assert (await watches.ask("sport = :9", parse("sport = :9", SystemResolver()))).looks >= 2
        assert watches.tree_of("sport = :1") is None
        await watches.close()
        with pytest.raises(PortsideError, match="the server ends"):
            await watches.ask("", EVERYTHING)
        assert watches.scrape() is None

    asyncio.run(run())


def test_a_server_that_was_stopped_answers_from_after_that() -> None:
    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        watch = watches._watch("", EVERYTHING, scraped=False)
        before = await watches.ask("", EVERYTHING)
        assert watches.scrape() is not None
        watch._good_until = 0.0
        assert (await watches.ask("", EVERYTHING)).looks > before.looks
        await watches.close()
        await asyncio.to_thread(watch.join, DEADLINE_S)
        watch._good_until = 0.0
        assert watch.scrape() is None

    asyncio.run(run())


@pytest.mark.parametrize("scraped", [False, True])
def test_a_watch_ends_when_nobody_asks(scraped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        name = "_SCRAPED" if scraped else "_ASKED"  # the other one would go on
        monkeypatch.setattr(findings_watch, name, (0.01, 0.05))
        watch = FindingsWatch(asyncio.get_running_loop(), EVERYTHING)
        watch.start(scraped=scraped)
        await asyncio.get_running_loop().run_in_executor(None, watch._thread.join, DEADLINE_S)
        assert watch.is_over
        assert watch.error is None

    asyncio.run(run())


class Waits(threading.Event):
    """An event that notes for how long it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.limits.append(timeout)
        return super().wait(timeout)


def test_scrapes_alone_have_the_machine_looked_at_seldom_and_a_question_wakes_the_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert findings_watch._SCRAPED[0] > findings_watch._ASKED[0]
    monkeypatch.setattr(findings_watch, "_SCRAPED", (1000.0, 10_000.0))
    waits = Waits()

    class Noted(FindingsWatch):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._woken = waits

    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop(), Noted)
        assert watches.scrape() is None
        await asyncio.to_thread(wait_until, lambda: waits.limits, "the first look to be over")
        assert waits.limits[0] == pytest.approx(1000, abs=60)
        assert await asyncio.wait_for(watches.ask("", EVERYTHING), DEADLINE_S)
        await watches.close()

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


def test_no_descriptor_left_in_the_middle_of_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        watch = watches._watch("", EVERYTHING, scraped=False)
        assert await watch.ask()
        monkeypatch.setattr(DiagnosisSource, "observe", full)
        await asyncio.to_thread(wait_until, lambda: watch.is_over, "the watch to fail")
        for _ in range(2):  # no answer from before
            with pytest.raises(PortsideError, match="cannot be watched now: Too many open files"):
                await watches.ask("", EVERYTHING)
        assert watches.scrape() is None
        await watches.close()

    asyncio.run(run())


def test_netlink_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoNetlink(socket.socket):
        def __init__(self, family: int = -1, *more: Any, **named: Any) -> None:
            if family == socket.AF_NETLINK:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            super().__init__(family, *more, **named)

    async def run() -> None:
        watches = FindingsWatches(asyncio.get_running_loop())
        monkeypatch.setattr(socket, "socket", NoNetlink)
        found = await watches.ask("", EVERYTHING)
        assert any("sockets come from proc" in note for note in found.notes)
        assert any("closed sockets are not seen" in note for note in found.notes)
        assert found.blind
        await watches.close()

    asyncio.run(run())


def finding(severity: Severity, first_seen: str, count: int) -> Finding:
    return Finding("retransmits", severity, Subject("machine"), "", {}, "", "", first_seen, first_seen, count)


def test_the_most_severe_come_first_and_then_those_that_were_there_first() -> None:
    found = (
        finding("info", "1", 1),
        finding("warning", "3", 9),
        finding("warning", "2", 1),
        finding("critical", "4", 1),
    )
    nothing = np.zeros(0, np.int64)

    async def ask(*_: object) -> Found:
        return Found(found, (nothing,) * 4, "5", 2, 1.0, (), {})

    async def with_sockets(inodes: list[Any]) -> list[Any]:
        return list(inodes)

    console = SimpleNamespace(findings=SimpleNamespace(ask=ask), connections=SimpleNamespace(with_sockets=with_sockets))
    page = asyncio.run(answer(cast("Any", console), query=FindingsQuery()))
    assert [each.first_seen for each in page.items] == ["4", "2", "3", "1"]


def test_connections_are_joined_by_inode_and_those_that_have_none_are_in_no_finding() -> None:
    ends = no_ends(4)._replace(numbers=np.array([3, 5, 7, 9]), inodes=np.array([70, 0, 50, 60]))
    sets = [np.array([60, 0, 70]), np.array([], np.int64), np.array([1, 99]), np.array([50])]
    assert [each.tolist() for each in numbers_with(ends, sets)] == [[3, 9], [], [], [7]]
    assert [each.tolist() for each in numbers_with(no_ends(), sets)] == [[], [], [], []]
    assert numbers_with(ends, []) == []


def test_metrics_have_the_findings(listen: Start) -> None:
    server = listen()
    assert server.port

    def metric_lines() -> list[str]:
        text = ask(server, "/metrics").body.decode()
        return [line for line in text.splitlines() if line.startswith("portside_finding{")]

    with overflowing():
        wait_until(lambda: any('code="accept-queue-overflow"' in line for line in metric_lines()), "the metric")
        text = ask(server, "/metrics").body
    assert b"portside_finding{" in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_page_of_a_code(listen: Start) -> None:
    server = listen()
    assert server.port
    page = ask(server, "/findings/close-wait-leak")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<h1>close-wait-leak</h1>" in page.body
    assert b"<table>" in page.body
    for path in ("/findings/no-such", "/findings/..%2f..%2fapi", "/findings/%3Cscript%3E", "/findings/a%00"):
        answer = ask(server, path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
