"""When the kernel's table is read and recorded for consoles, and what the end of a run does not wait for."""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support import DEADLINE_S, wait_until

from portside.app.running_server import RunningServer
from portside.control import connection_watch, machine_sockets, own_thread
from portside.control.closed_connections import ClosedConnections
from portside.control.connection_watch import ConnectionWatch
from portside.control.kernel_facts import NO_FACTS
from portside.control.own_thread import MOST_THREADS, AllThreadsBusy, OwnThreads
from portside.server.listener import Listener
from portside.settings.listen import Listen


class _Server:
    """A server without connections."""

    def __init__(self) -> None:
        self.connections: dict[int, Any] = {}
        self.tracks_activity = False


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield Listener(sock, socket.AF_INET, f"127.0.0.1:{sock.getsockname()[1]}")


def watch_of(listener: Listener, **settings: Any) -> ConnectionWatch:
    unused: Any = None
    run = RunningServer(
        loop=asyncio.get_running_loop(), settings=Listen(**settings), server=_Server(), bus=unused,  # type: ignore[arg-type]
        listeners=(listener,), admission=unused, behaviour=unused, drain=unused, is_ending=unused, stop=unused,
    )  # fmt: skip
    return ConnectionWatch(run, ClosedConnections(), activity_is_known=True)


async def until(condition: Any) -> None:
    await asyncio.to_thread(wait_until, condition, "a change of the watch")


def test_recording_ends_some_time_after_the_last_request(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        watch = watch_of(listener)
        before = watch.recorder
        watch.use()
        await until(lambda: watch.facts.table is not None)
        assert watch.is_recording
        monkeypatch.setattr(connection_watch, "SPAN_S", -1)  # as if that time were over
        await until(lambda: not watch.is_recording)
        assert watch.recorder is not before  # the memory is given back
        monkeypatch.undo()
        watch.use()
        assert watch.is_recording
        watch.close()

    asyncio.run(run())


def test_with_a_page_recording_does_not_end(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_watch, "SPAN_S", -1)

    async def run() -> None:
        watch = watch_of(listener, web="127.0.0.1:0")
        watch.use()
        await until(lambda: watch.facts.table is not None)
        first = watch.facts
        await until(lambda: watch.facts is not first)
        assert watch.is_recording
        watch.close()

    asyncio.run(run())


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the time of the running loop stand still."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)


def test_facts_are_read_once_for_all_who_ask_at_a_time(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        stop_clock(monkeypatch)
        watch = watch_of(listener)
        found = await asyncio.gather(*(watch.fresh_facts() for _ in range(20)))
        assert all(each is found[0] for each in found)
        assert found[0].table is not None
        assert found[0].inodes.tolist() == [os.fstat(listener.socket.fileno()).st_ino]
        assert await watch.fresh_facts(following=True) is found[0]
        watch.close()

    asyncio.run(run())


def test_facts_that_took_long_to_read_are_used_for_longer(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        stop_clock(monkeypatch)
        watch = watch_of(listener)
        first = await watch.fresh_facts()
        clock = asyncio.get_running_loop().time
        for took_s, age_s, is_used in ((0.001, 1.0, False), (0.05, 0.2, True), (0.05, 1.6, False), (1.0, 5.0, True)):
            watch.facts = first._replace(took_s=took_s, read_at=clock() - age_s)
            known = watch.facts
            assert (await watch.fresh_facts() is known) is is_used, (took_s, age_s)
        began = clock()
        watch.facts = first._replace(took_s=1.0, read_at=began - 11.0)
        assert (await watch.fresh_facts()).read_at >= began
        watch.close()

    asyncio.run(run())


def test_sockets_of_others_on_the_same_port_are_not_kept_where_they_are_many(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process holds both ends here, of which the server knows none; but it listens."""

    async def run() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(socket.create_connection(listener.socket.getsockname()))
                stack.enter_context(listener.socket.accept()[0])
            watch = watch_of(listener)
            assert len((await watch.fresh_facts()).inodes) == 6
            monkeypatch.setattr(connection_watch, "_OTHERS_ROWS", 4)
            watch.facts = NO_FACTS
            facts = await watch.fresh_facts()
            assert facts.inodes.tolist() == [os.fstat(listener.socket.fileno()).st_ino]
            assert facts.table is not None
            assert len(facts.table) == 1
            watch.close()

    asyncio.run(run())


def test_the_sockets_of_the_machine_are_read_before_a_page_or_beside_it(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        watch = watch_of(listener)
        machine, reads = watch.machine, []
        real = machine.read
        now = 1000.0
        monkeypatch.setattr(machine_sockets, "time", SimpleNamespace(monotonic=lambda: now))

        def read() -> None:
            reads.append(now)
            real()

        monkeypatch.setattr(machine, "read", read)
        await watch.read_machine()
        await watch.read_machine()
        assert len(reads) == 1  # it is new
        for age_s, took_s, waits in ((2.0, 0.01, True), (5.5, 1.0, False), (10.5, 1.0, True)):
            before = len(reads)
            monkeypatch.setattr(machine, "_read_at", now - age_s)
            monkeypatch.setattr(machine, "_took_s", took_s)
            assert machine.is_due
            assert machine.is_old is waits
            await watch.read_machine()
            beside = watch._machine_reading
            assert (beside is None or beside.done()) is waits
            if beside is not None:
                await beside
            assert len(reads) == before + 1
        watch.close()

    asyncio.run(run())


def test_a_reader_that_fails_is_said_and_tried_again(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []

    def fail() -> None:
        raise RuntimeError("broken")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        watch = watch_of(listener)
        monkeypatch.setattr(watch.reader, "read", fail)
        with pytest.raises(RuntimeError, match="broken"):
            await watch.fresh_facts()
        monkeypatch.undo()
        assert (await watch.fresh_facts()).table is not None
        watch.close()

    asyncio.run(run())
    assert [str(each) for each in reported] == ["broken"]


def test_a_call_on_its_own_thread_gives_its_result_or_its_error() -> None:
    async def run() -> None:
        threads = OwnThreads()
        assert await threads.call(max, 3, 4) == 4
        with pytest.raises(ZeroDivisionError):
            await threads.call(divmod, 1, 0)

    asyncio.run(run())


def test_the_end_waits_for_no_call_on_its_own_thread() -> None:
    release = threading.Event()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await OwnThreads().call(release.wait, DEADLINE_S)

    start = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - start < DEADLINE_S / 2
    threads = [each for each in threading.enumerate() if each.name == "portside-call"]
    assert all(each.daemon for each in threads)
    release.set()
    for each in threads:
        each.join(DEADLINE_S)


def test_threads_are_bounded_though_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may ask for a name that takes long, go away and ask again."""
    monkeypatch.setattr(own_thread, "PATIENCE_S", 0.05)
    release = threading.Event()

    async def run() -> None:
        threads = OwnThreads()
        before = threading.active_count()
        gone = [asyncio.create_task(threads.call(release.wait, DEADLINE_S)) for _ in range(MOST_THREADS)]
        await asyncio.sleep(0)
        with pytest.raises(AllThreadsBusy):
            await threads.call(max, 3, 4)
        for each in gone:
            each.cancel()
        with pytest.raises(AllThreadsBusy):
            await threads.call(max, 3, 4)
        assert threading.active_count() == before + MOST_THREADS
        release.set()
        monkeypatch.undo()
        found = await asyncio.gather(*(threads.call(max, 3, 4) for _ in range(10 * MOST_THREADS)))
        assert found == [4] * 10 * MOST_THREADS

    asyncio.run(run())
