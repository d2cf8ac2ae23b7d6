"""Bytes that a socket's user has written and the kernel has not taken yet."""

import os
from collections import deque
from typing import Final

PIECES_PER_WRITE: Final = 64  # of writev(2)


class WriteBuffer:
    """The bytes in the order of their writes, a piece for each; ``size`` of them in all."""

    __slots__ = ("_pieces", "size")

    def __init__(self, data: bytes | memoryview) -> None:
        self._pieces: deque[bytes | memoryview] = deque((data,))
        self.size = len(data)

    def append(self, data: bytes) -> None:
        """Add bytes after all others."""
        self._pieces.append(data)
        self.size += len(data)

    def send(self, fd: int) -> bool:
        """Have the kernel take as much as it does now; whether nothing is left. Raises OSError."""
        pieces = self._pieces
        first = [pieces[index] for index in range(min(len(pieces), PIECES_PER_WRITE))]
        sent = os.write(fd, first[0]) if len(first) == 1 else os.writev(fd, first)
        self.size -= sent
        while sent:
            length = len(pieces[0])
            if sent < length:
                pieces[0] = memoryview(pieces[0])[sent:]
                break
            pieces.popleft()
            sent -= length
        return not pieces
