"""The filter that is shown is the one that is applied, also while another is on its way to the poller or fails."""

import asyncio

import pytest

from portside.errors import PortsideError
from portside.kernel.filter import FilterError, PortIn, parse
from portside.kernel.filter.tree import Filter
from portside.tui.filter_state import FilterState


def parse_filter(text: str) -> Filter | None:
    return parse(text) if text else None


class Applying:
    """Applies when it may, and fails when it is told to."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Filter | None] = asyncio.Queue()
        self.may_apply = asyncio.Event()
        self.failure: PortsideError | None = None

    async def __call__(self, tree: Filter | None) -> None:
        self.begun.put_nowait(tree)
        await self.may_apply.wait()
        if self.failure is not None:
            raise self.failure


def test_on_its_way_it_is_not_applied_yet() -> None:
    async def run() -> None:
        applying = Applying()
        state = FilterState("", parse_filter, applying)
        first = asyncio.create_task(state.request("5", 0.0))
        assert await applying.begun.get() == parse_filter("5")
        assert state.text == ""
        # The next key: the first is on its way already, and what was there before is asked for again.
        first.cancel()
        second = asyncio.create_task(state.request("", 0.0))
        assert await applying.begun.get() is None
        applying.may_apply.set()
        await second
        assert state.text == ""
        assert first.cancelled()

    asyncio.run(run())


def test_one_that_is_applied_is_not_applied_again() -> None:
    async def run() -> None:
        applying = Applying()
        applying.may_apply.set()
        state = FilterState("", parse_filter, applying)
        for text in ("", "sport = 5", "sport = 5"):
            await state.request(text, 0.0)
        assert state.text == "sport = 5"
        assert applying.begun.get_nowait() == PortIn("local", 5, 5)
        assert applying.begun.empty()

    asyncio.run(run())


def test_one_that_fails_is_not_applied() -> None:
    async def run() -> None:
        applying = Applying()
        applying.may_apply.set()
        state = FilterState("", parse_filter, applying)
        with pytest.raises(FilterError):
            await state.request("5 and", 0.0)
        assert applying.begun.empty()
        applying.failure = PortsideError("network namespace '5'", "no process has the number 5")
        with pytest.raises(PortsideError, match="no process"):
            await state.request("5", 0.0)
        assert state.text == ""
        applying.failure = None
        await state.request("5", 0.0)
        assert state.text == "5"

    asyncio.run(run())
