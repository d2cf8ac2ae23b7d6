"""Progress of a long command: a bar on standard error if that is a terminal, otherwise nothing."""

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

SHOWN_AFTER_S = 0.5  # what is done sooner shows nothing
_EACH_S = 0.1


class Progress:
    """A progress bar, called with the number of bytes done and the total, any number of times; shown after 0.5 s."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + SHOWN_AFTER_S
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, whole: int) -> None:
        """Show the number of bytes done, and the total."""
        if not self._shown or time.monotonic() < self._next:
            return
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task(self._words, total=whole)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=whole, refresh=True)
        self._next = time.monotonic() + _EACH_S


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn()
    return Bar(
        *columns, TimeRemainingColumn(), console=Console(file=sys.__stderr__), transient=True, auto_refresh=False
    )
