"""A question to several servers at once."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

_MOST_THREADS: Final = 16

_Server = TypeVar("_Server")
_Answer = TypeVar("_Answer")


def ask_at_once(ask: Callable[[_Server], _Answer], servers: Sequence[_Server]) -> list[_Answer]:
    """The answers of servers, in their order; more than one are asked in threads. Raises what ``ask`` raises."""
    if len(servers) < 2:
        return list(map(ask, servers))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_MOST_THREADS, len(servers)), thread_name_prefix="ask") as pool:
        return list(pool.map(ask, servers))
