"""Files for measurements: on the disk of the checkout, in memory that the kernel has already allocated."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.build import OUT

SETTLE_S = 4  # Linux gives free memory back to its host two seconds after it was freed (mm/page_reporting.c), if at all


@contextmanager
def folder_on_disk() -> Iterator[str]:
    """A folder that is removed with its files.

    What an earlier run left for the disk to write is written first, and what it left of memory is given back: in the
    middle of the next run that would take a third of its time.
    """
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    os.sync()
    time.sleep(SETTLE_S)
    with TemporaryDirectory(dir=OUT / "tmp") as folder:
        yield folder


def warm(folder: str, size: int) -> None:
    """Make the kernel allocate page cache for `size` bytes: the first program measured would pay for it."""
    path = Path(folder, "warm")
    fill(path, size)
    path.unlink()


def fill(path: Path, size: int) -> None:
    """Make a file of random bytes."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        file.writelines(block for _ in range(-(-size >> 20)))
