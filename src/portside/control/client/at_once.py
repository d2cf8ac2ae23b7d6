"""A question to several servers at once."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

_MOST_THREADS: Final = 16

_Server = TypeVar("_Server")
_Answer = TypeVar("_Answer")


def ask_at_once(ask: Callable[[_Server], _Answer], servers: Sequence[_Server]) -> list[_Answer]:
    """The answers of servers, in their order; more than one are asked in threads. Raises what ``ask`` raises.

    The end of the process does not wait for these threads, as it would for those of an executor.
    """
    left = deque(enumerate(servers))
    answers: dict[int, _Answer] = {}
    errors: dict[int, Exception] = {}

    def work() -> None:
        with suppress(IndexError):  # nobody is left
            while True:
                at, server = left.popleft()
                try:
                    answers[at] = ask(server)
                except Exception as error:  # noqa: BLE001 -- it is raised below
                    errors[at] = error

    threads = [threading.Thread(target=work, name="ask", daemon=True) for _ in servers[1:_MOST_THREADS]]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [answers[at] for at in range(len(servers))]
