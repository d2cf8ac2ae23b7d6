"""A stream socket whose family and type are plain numbers.

The standard library makes an enumeration member of each at every access: for every client twice in ``accept`` and twice
when the socket is attached to the loop, which was a twelfth of the time that a short connection takes.
"""

import socket
from typing import Any


class FastSocket(socket.socket):
    """A stream socket as ``socket.socket``; the sockets that it accepts are of this class, too."""

    __slots__ = ("family",)

    family: int  # type: ignore[assignment]
    type = socket.SOCK_STREAM

    def __init__(self, family: int, fileno: int | None = None) -> None:
        super().__init__(family, socket.SOCK_STREAM, 0, fileno)
        self.family = int(family)

    def dup(self) -> "FastSocket":
        """As ``socket.dup``."""
        return FastSocket(self.family, socket.dup(self.fileno()))

    def accept(self) -> tuple["FastSocket", Any]:
        """As ``socket.accept``, which calls the same method of its base."""
        fileno, address = self._accept()  # type: ignore[attr-defined]
        return FastSocket(self.family, fileno), address
