"""The filter that is shown is the one that is applied, also while another is on its way to the looker or fails."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

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


class SlowLooker(Looker):
    """Chooses when it may, and fails when it is told to."""

    def __init__(self) -> None:
        self.may_choose = threading.Event()
        self.chosen: list[Filter | None] = []
        self.failure: PortsideError | None = None
        self.looks = Looks()

    def look(self) -> Picture:
        return self.looks(numbered(1))

    def choose(self, tree: Filter | None) -> None:
        assert self.may_choose.wait(20)
        if self.failure is not None:
            raise self.failure
        self.chosen.append(tree)


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> SlowLooker:
    monkeypatch.setattr(module, "end_if_hung_up", lambda: None)
    return SlowLooker()


def story(looker: SlowLooker, tell: Callable[[WatchApp], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        app = WatchApp(Watch(interval=3600.0), looker, looker.look(), Sort())
        async with app.run_test(size=(80, 20)):
            await tell(app)
            app.exit(0)  # as every end of a run: what is on its way then finds no screen, and that is no failure
            looker.may_choose.set()
        assert app.failure is None

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


def test_on_its_way_it_is_not_applied_yet(looker: SlowLooker) -> None:
    async def tell(app: WatchApp) -> None:
        app._choose("5")
        await until(lambda: app._asked == "5")
        assert app._filter == ""
        # The next key: the first is on its way already, and what was there before is asked for again.
        app._choose("")
        await until(lambda: app._asked == "")
        looker.may_choose.set()
        await until(lambda: len(looker.chosen) == 2)
        await until(lambda: app._filter == "")
        assert looker.chosen[1] is None

    story(looker, tell)


def test_one_that_fails_is_not_applied(looker: SlowLooker) -> None:
    async def tell(app: WatchApp) -> None:
        looker.failure = PortsideError("network namespace '5'", "no process has the number 5")
        looker.may_choose.set()
        app._choose("5")
        await until(lambda: app._message)
        assert app._message == "network namespace '5': no process has the number 5"
        assert (app._filter, app._asked) == ("", "")
        looker.failure = None
        app._choose("5")
        await until(lambda: app._filter == "5")
        assert len(looker.chosen) == 1

    story(looker, tell)


def test_an_interval_that_no_clock_bears(looker: SlowLooker) -> None:
    async def run() -> None:
        app = WatchApp(Watch(interval=1e308), looker, looker.look(), Sort())
        async with app.run_test(size=(80, 20)):
            app._wake.set()
            before = looker.looks.now
            await until(lambda: looker.looks.now > before)
        assert app.failure is None

    asyncio.run(run())


def test_what_cannot_be_shown_any_more_is_no_failure(looker: SlowLooker) -> None:
    """A look that comes back while the screen is taken down."""

    async def fail() -> None:
        raise LookupError

    async def run(*, ending: bool) -> WatchApp:
        app = WatchApp(Watch(interval=3600.0), looker, looker.look(), Sort())
        async with app.run_test(size=(80, 20)):
            if ending:
                app.exit(0)
            task = app._start(fail())
            await until(lambda: task not in app._tasks)
        return app

    ended = asyncio.run(run(ending=True))
    assert (ended.return_code, ended.failure) == (0, None)
    failed = asyncio.run(run(ending=False))
    assert failed.return_code == 1
    assert isinstance(failed.failure, LookupError)
