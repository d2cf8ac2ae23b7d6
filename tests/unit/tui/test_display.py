"""The display without a terminal: what is beside it, and what goes wrong there."""

import asyncio
import threading

import pytest
from unit.tui.made import Looks, numbered

from portside.errors import PortsideError
from portside.kernel.filter.tree import Filter
from portside.settings.watch import Watch
from portside.tui import watch as module
from portside.tui.follow import Picture
from portside.tui.looker import Looker
from portside.tui.order import Sort
from portside.tui.watch import WatchApp


class MadeLooker(Looker):
    """Sees one socket, and has no other filter."""

    def __init__(self) -> None:
        self.looked = threading.Event()
        self._looks = Looks()

    def look(self) -> Picture:
        self.looked.set()
        return self._looks(numbered(1))

    def choose(self, tree: Filter | None) -> None:
        raise PortsideError("network namespace '5'", "no process has the number 5")


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> MadeLooker:
    monkeypatch.setattr(module, "end_if_hung_up", lambda: None)
    return MadeLooker()


def display(looker: MadeLooker, interval: float = 3600.0) -> WatchApp:
    return WatchApp(Watch(interval=interval), looker, looker.look(), Sort())


def test_a_filter_that_cannot_be_applied_is_said(looker: MadeLooker) -> None:
    async def run() -> None:
        app = display(looker)
        async with app.run_test(size=(80, 20)):
            app._choose("5")
            assert app._typing is not None
            await app._typing
            assert app._message == "network namespace '5': no process has the number 5"
        assert app.failure is None

    asyncio.run(run())


def test_an_interval_that_no_clock_bears(looker: MadeLooker) -> None:
    async def run() -> None:
        app = display(looker, 1e308)
        async with app.run_test(size=(80, 20)):
            looker.looked.clear()
            app._wake.set()
            assert await asyncio.to_thread(looker.looked.wait, 20)
        assert app.failure is None

    asyncio.run(run())


def test_what_cannot_be_shown_any_more_is_no_failure(looker: MadeLooker) -> None:
    """A look that comes back while the screen is taken down."""

    async def fail() -> None:
        raise LookupError

    async def run(*, ending: bool) -> WatchApp:
        app = display(looker)
        async with app.run_test(size=(80, 20)):
            if ending:
                app.exit(0)
            await asyncio.wait([app._beside.start(fail())])
        return app

    ended = asyncio.run(run(ending=True))
    assert (ended.return_code, ended.failure) == (0, None)
    failed = asyncio.run(run(ending=False))
    assert failed.return_code == 1
    assert isinstance(failed.failure, LookupError)
