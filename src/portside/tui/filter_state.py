"""The filter of the display: the one that is applied, and the one that is on its way."""

import asyncio
from collections.abc import Awaitable, Callable

from portside.errors import PortsideError
from portside.kernel.filter.tree import Filter
from portside.tui.poller import parse_filter


class FilterState:
    """``text`` is the filter that is applied. ``apply`` takes them in the order in which they are asked for."""

    def __init__(self, text: str, apply: Callable[[Filter | None], Awaitable[None]]) -> None:
        self.text = text
        self._asked = text
        self._apply = apply

    async def take(self, text: str, after_s: float) -> None:
        """Apply another one. Cancel it when the next is asked for. Raises FilterError and what ``apply`` raises."""
        await asyncio.sleep(after_s)
        # Not in the thread that looks: a name may take the resolver long.
        tree = await asyncio.to_thread(parse_filter, text)
        if text != self._asked:
            self._asked = text
            # The next key cancels this, but not what is on its way: the words and the table must agree.
            await asyncio.shield(self._apply_one(text, tree))

    async def _apply_one(self, text: str, tree: Filter | None) -> None:
        try:
            await self._apply(tree)
        except PortsideError:
            if self._asked == text:
                self._asked = self.text
            raise
        self.text = text
