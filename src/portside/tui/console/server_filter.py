"""A filter that the server applies: it is tried there, and the server says what is wrong with it."""

import asyncio
from collections.abc import Awaitable, Callable

from portside.control.client.http_client import ApiError
from portside.kernel.filter.errors import FilterError


class ServerFilter:
    """``text`` is the filter that is applied; ``apply`` shows the list of another one, or raises ApiError."""

    def __init__(self, apply: Callable[[str], Awaitable[None]]) -> None:
        self.text = ""
        self._apply = apply

    async def request(self, text: str, after_s: float) -> None:
        """Apply another filter after a delay. Raises FilterError and PortsideError."""
        await asyncio.sleep(after_s)
        if text == self.text:
            return
        try:
            await self._apply(text)
        except ApiError as error:
            if error.position is None:
                raise
            raise FilterError(error.why, text, error.position, error.length) from None
        self.text = text
