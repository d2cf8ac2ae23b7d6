"""The display without a terminal: what is beside it, and what goes wrong there."""

import asyncio
import threading

import pytest
from unit.tui.made import Looks, numbered

from portside.app.sort_order import Sort
from portside.errors import PortsideError
from portside.kernel.filter.tree import Filter
from portside.settings.watch import Watch
from portside.tui import watch as module
from portside.tui.poller import Poller
from portside.tui.snapshot_diff import ViewState
from portside.tui.watch import WatchApp


class MadePoller(Poller):
    """Sees one socket, and has no other filter."""

    def __init__(self) -> None:
        self.looked = threading.Event()
        self._namespace = None
        self._looks = Looks()

    def poll(self) -> ViewState:
        self.looked.set()
        return self._looks(numbered(1))

    def set_filter(self, tree: Filter | None) -> None:
        raise PortsideError("network namespace '5'", "no process has the number 5")


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> MadePoller:
    monkeypatch.setattr(module, "end_if_hung_up", lambda: None)
    return MadePoller()


def display(poller: MadePoller, interval: float = 3600.0) -> WatchApp:
    return WatchApp(Watch(interval=interval), poller, poller.poll(), Sort())


def test_a_filter_that_cannot_be_applied_is_said(poller: MadePoller) -> None:
    async def run() -> None:
        app = display(poller)
        async with app.run_test(size=(80, 20)):
            app._entry.request("5")
            assert app._entry.pending is not None
            await app._entry.pending
            assert app._status.message == "network namespace '5': no process has the number 5"
        assert app.failure is None

    asyncio.run(run())


def test_an_interval_that_no_clock_bears(poller: MadePoller) -> None:
    async def run() -> None:
        app = display(poller, 1e308)
        async with app.run_test(size=(80, 20)):
            poller.looked.clear()
            app._polling.wake()
            assert await asyncio.to_thread(poller.looked.wait, 20)
        assert app.failure is None

    asyncio.run(run())


def test_what_cannot_be_shown_any_more_is_no_failure(poller: MadePoller) -> None:
    """A look that comes back while the screen is taken down."""

    async def fail() -> None:
        raise LookupError

    async def run(*, ending: bool) -> WatchApp:
        app = display(poller)
        async with app.run_test(size=(80, 20)):
            if ending:
                app.exit(0)
            await asyncio.wait([app._worker.start(fail())])
        return app

    ended = asyncio.run(run(ending=True))
    assert (ended.return_code, ended.failure) == (0, None)
    failed = asyncio.run(run(ending=False))
    assert failed.return_code == 1
    assert isinstance(failed.failure, LookupError)
