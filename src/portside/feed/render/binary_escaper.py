"""Escaping of binary data: large reads with numpy, which a thread imports when the first of them comes."""

from threading import Thread
from typing import TYPE_CHECKING, Final

from portside.wire.escaping import escape_binary

if TYPE_CHECKING:
    from collections.abc import Callable

_BULK_BYTES: Final = 4096  # from this much on, numpy is faster
_WORTH_LOADING_BYTES: Final = 32 * 1024  # a client that sends so much at once is likely to send more


class BinaryEscaper:
    """``escape_binary``, which becomes several times as fast some 100 ms after the first large read.

    A server that is sent text never loads numpy, which is 60 ms of CPU time and 17 MB.
    """

    def __init__(self) -> None:
        self._escape_bulk: Callable[[bytes], bytes] | None = None
        self.loader: Thread | None = None

    def __call__(self, data: bytes) -> bytes:
        if len(data) < _BULK_BYTES:
            return escape_binary(data)
        if self._escape_bulk is not None:
            return self._escape_bulk(data)
        if self.loader is None and len(data) >= _WORTH_LOADING_BYTES:
            self.loader = Thread(target=self._load, name="loader of numpy", daemon=True)
            self.loader.start()
        return escape_binary(data)

    def _load(self) -> None:
        from portside.wire import bulk_escaping

        self._escape_bulk = bulk_escaping.escape_binary
