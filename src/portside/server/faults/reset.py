"""RST in place of FIN, and when: what the peer has not acknowledged goes with it."""

import asyncio
from collections.abc import Callable

from portside.sockopts import set_abortive_close, unacknowledged

PATIENCE_S = 1.0
_LOOK_S = 0.002


def linger_not(transport: asyncio.Transport) -> None:
    """Have the end of a transport be RST."""
    if not transport.is_closing():
        set_abortive_close(transport.get_extra_info("socket"))


def when_taken(
    loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, then: Callable[[], None], by: float | None = None
) -> None:
    """Call back when the peer has acknowledged what was sent, or after ``PATIENCE_S``."""
    if by is None:
        by = loop.time() + PATIENCE_S
    if loop.time() < by and (transport.get_write_buffer_size() or _unacknowledged(transport)):
        loop.call_later(_LOOK_S, when_taken, loop, transport, then, by)
    else:
        then()


def _unacknowledged(transport: asyncio.Transport) -> int:
    try:
        return unacknowledged(transport.get_extra_info("socket").fileno())
    except OSError:
        return 0  # it is gone
