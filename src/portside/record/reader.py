"""Reading blocks of a recording at the positions in the index."""

import os
from typing import Self

from portside.errors import PortsideError
from portside.record.files import IrregularFileError, open_regular
from portside.record.folder import Folder
from portside.record.index import Extent
from portside.record.scan import read_block
from portside.record.segment import Damaged, Entry

FlushEntries = tuple[int, list[Entry]]  # the number of a block's flush, and its entries


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
