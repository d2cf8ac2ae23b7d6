"""The filter of the live display: the applied one and the requested one."""

import asyncio
from collections.abc import Awaitable, Callable

from portside.errors import PortsideError
from portside.kernel.filter.tree import Filter


class FilterState:
    """``text`` is the filter that is applied. Filters are applied in the order in which they are requested.

    ``parse`` makes the tree of a text, on another thread; None stands for no filter.
    """

    def __init__(
        self,
        text: str,
        parse: Callable[[str], Filter | None],
        apply: Callable[[Filter | None], Awaitable[None]],
    ) -> None:
        self.text = text
        self._parse = parse
        self._requested = text
        self._apply = apply

    async def request(self, text: str, after_s: float) -> None:
        """Apply another filter after a delay. The caller cancels the request when it makes the next.

        Raises FilterError, and what ``apply`` raises.
        """
        await asyncio.sleep(after_s)
        # Not in the worker's thread: the resolver may take long for a name.
        tree = await asyncio.to_thread(self._parse, text)
        if text != self._requested:
            self._requested = text
            # The next key cancels this, but not what is on its way: the words and the table must agree.
            await asyncio.shield(self._apply_one(text, tree))

    async def _apply_one(self, text: str, tree: Filter | None) -> None:
        try:
            await self._apply(tree)
        except PortsideError:
            if self._requested == text:
                self._requested = self.text
            raise
        self.text = text
