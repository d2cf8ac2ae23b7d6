"""Reading blocks of a recording at the positions in the index; a thread reads ahead sequentially."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from portside.errors import PortsideError
from portside.record.files import IrregularFileError, open_regular
from portside.record.folder import Folder
from portside.record.index import Extent
from portside.record.scan import read_block
from portside.record.segment import Damaged, Entry

if TYPE_CHECKING:
    from concurrent.futures import Future

FlushEntries = tuple[int, list[Entry]]  # the number of a block's flush, and its entries

_AHEAD_BYTES = 16 << 20
_AHEAD_BLOCKS = 256
_WORTH_A_THREAD_BYTES = 256 << 10  # below, handing a block over costs more than reading it


class Reader:
    """A reader of blocks that keeps the last segment open. For one thread."""

    def __init__(self, folder: Folder, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._opened: tuple[int, int] | None = None  # number and descriptor

    def block(self, extent: Extent) -> FlushEntries | None:
        """The entries of the block at an extent; None where it is damaged or gone. Raises PortsideError."""
        try:
            block = read_block(self._segment(extent.segment), self._seed, extent.offset)
        except (Damaged, FileNotFoundError, IrregularFileError):
            return None
        except OSError as error:
            raise PortsideError(f"recording {self._folder.segment(extent.segment)}", error) from None
        header = block.header
        if (header.conn, header.received, header.sent) != (extent.conn, extent.received_before, extent.sent_before):
            return None
        return block.header.flush, block.entries

    def ahead(self, extents: Iterable[Extent]) -> Iterator[tuple[Extent, FlushEntries | None]]:
        """Each extent with its block; large ones are read on a thread while the caller handles those before them.

        Reading and checking them releases the GIL, and is half of the work of an export.
        """
        from concurrent.futures import ThreadPoolExecutor

        other = Reader(self._folder, self._seed)
        reading: deque[tuple[Extent, Future[FlushEntries | None] | None]] = deque()
        size = 0
        with other, ThreadPoolExecutor(1, "reader") as pool:
            for extent in extents:
                large = extent.length >= _WORTH_A_THREAD_BYTES
                reading.append((extent, pool.submit(other.block, extent) if large else None))
                size += extent.length
                while size > _AHEAD_BYTES or len(reading) > _AHEAD_BLOCKS:
                    size -= reading[0][0].length
                    yield self._read(*reading.popleft())
            while reading:
                yield self._read(*reading.popleft())

    def _read(
        self, extent: Extent, reading: "Future[FlushEntries | None] | None"
    ) -> tuple[Extent, FlushEntries | None]:
        return extent, self.block(extent) if reading is None else reading.result()

    def _segment(self, number: int) -> int:
        if self._opened is None or self._opened[0] != number:
            self.close()
            self._opened = number, open_regular(self._folder.segment(number), os.O_RDONLY)
        return self._opened[1]

    def close(self) -> None:
        """Close the segment that is open."""
        if self._opened is not None:
            os.close(self._opened[1])
            self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
