"""Connecting on the loop: what is tried, for how long, and in whose words it fails."""

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE_S

from portside.addresses import Address, parse_address
from portside.app.loop import run
from portside.behaviours import dialer
from portside.behaviours.dialer import Dialer
from portside.client.dial import Candidate, ConnectOptions
from portside.errors import PortsideError


def dial(where: str, header: bytes = b"", timeout: float = DEADLINE_S) -> socket.socket:
    return run(Dialer(parse_address(where), ConnectOptions(timeout)).dial(header))


def test_a_header_comes_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with dial(f"127.0.0.1:{server.getsockname()[1]}", b"first\n"):
            taken, _ = server.accept()
        with taken:
            assert taken.recv(100) == b"first\n"


def test_every_candidate_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        hosts = ("127.0.0.1", "127.0.0.2")
        found = [Candidate(socket.AF_INET, (host, port)) for host in hosts]
        monkeypatch.setattr(dialer, "resolve", lambda _address, _route: found)
        with pytest.raises(PortsideError) as failure:
            dial(f"a.name:{port}")
    reasons = ", ".join(f"{host}:{port} Connection refused" for host in hosts)
    assert str(failure.value) == f"cannot connect to a.name:{port}: {reasons}"


def test_one_question_for_many_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Address] = []

    def resolve(address: Address, _route: ConnectOptions) -> list[Candidate]:
        asked.append(address)
        raise PortsideError("cannot connect to a.name", "nobody knows it")

    monkeypatch.setattr(dialer, "resolve", resolve)

    async def connect_many() -> list[object]:
        dialer = Dialer(parse_address("a.name:80"), ConnectOptions())
        answers: list[object] = await asyncio.gather(*(dialer.dial() for _ in range(50)), return_exceptions=True)
        with pytest.raises(PortsideError):
            await dialer.dial()
        return answers

    assert {str(answer) for answer in run(connect_many())} == {"cannot connect to a.name: nobody knows it"}
    assert len(asked) == 2


def test_nobody_waits_for_the_answer_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[dict[str, Any]] = []

    async def leave() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, complaint: complaints.append(complaint))
        asked, answered = asyncio.Event(), asyncio.Event()
        answer: asyncio.Future[list[Candidate]] = loop.create_future()
        answer.add_done_callback(lambda _: answered.set())

        def ask(*_: object) -> asyncio.Future[list[Candidate]]:
            asked.set()
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(dialer, "_in_thread", ask)
            task = asyncio.create_task(Dialer(parse_address("a.name:80"), ConnectOptions()).dial())
            await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.set_exception(PortsideError("too", "late"))
        await answered.wait()

    run(leave())
    gc.collect()  # a future says then that nobody took its exception
    assert not complaints


def test_a_queue_that_stays_full(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as filler:
        server.bind(str(tmp_path / "full"))
        server.listen(0)
        filler.connect(str(tmp_path / "full"))
        with pytest.raises(PortsideError, match=r"no answer within 0\.1s"):
            dial(f"unix:{tmp_path}/full", timeout=0.1)


def test_an_abstract_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("")  # the kernel chooses one
        server.listen()
        dial(f"unix:@{server.getsockname()[1:].decode()}").close()


def test_a_free_port_is_not_connected_to_itself() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PortsideError, match="Connection refused"):
        dial(f"127.0.0.1:{port}")
