"""Lists of buffers for vectored writes (writev(2))."""

from collections.abc import Sequence
from typing import Final

MOST_BUFFERS: Final = 512  # of one writev; the kernel takes 1024 (IOV_MAX)


def advance(buffers: Sequence[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    """The buffers that remain when their first ``written`` bytes are written."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []
