"""What ``listen`` and ``connect`` return: something to await, or to enter with ``async with``."""

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType


class Closable(Protocol):
    """Something that is closed when its ``async with`` is left."""

    async def close(self) -> None: ...


Opened = TypeVar("Opened", bound=Closable)


class Opening(Generic[Opened]):
    """A server or a connection that is not opened yet.

    ``async with`` opens it and closes it at the end; ``await`` opens it, and its user closes it. Each raises
    PortsideError where it cannot be opened.
    """

    def __init__(self, open_: Callable[[], Coroutine[Any, Any, Opened]]) -> None:
        """For Portside itself."""
        self._open = open_
        self._opened: Opened | None = None

    def open(self) -> Coroutine[Any, Any, Opened]:
        """The coroutine that ``await`` awaits."""
        return self._open()

    def __await__(self) -> Generator[Any, None, Opened]:
        return self._open().__await__()

    async def __aenter__(self) -> Opened:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
