"""What is wrong on the server's machine, for all screens: asked for from the first look at the screen of findings on.

The server watches for as long as somebody asks, and looks at all sockets of its machine once a second meanwhile. So
nothing is asked before, and less often from the other screens, for the count in the header and the marks.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portside.control.client.http_client import ApiError, Unreachable
from portside.diagnosis.findings import Severity
from portside.tui.console.columns import Row
from portside.tui.console.link import ConnName, Run, ServerLink
from portside.tui.worker import Worker

PATH = "/api/v1/findings"
_SHOWN_S, _ELSEWHERE_S = 1.0, 5.0  # between two questions; the server's watch ends 30 s after the last


class Findings:
    """The newest answer (``page``, None before the first), and why there is no newer one (``problem``).

    ``everywhere`` says whether it is asked for from all screens; ``changed`` is called when an answer has come.
    """

    def __init__(self, link: ServerLink, worker: Worker, changed: Callable[[], None]) -> None:
        self.page: Mapping[str, Any] | None = None
        self.problem = ""
        self.everywhere: bool | None = None
        self._link = link
        self._worker = worker
        self._changed = changed
        self._run: Run = link.run
        self._asked_at = float("-inf")
        self._is_asking = False
        self._marks: dict[tuple[str, ConnName], list[Row]] = {}

    @property
    def items(self) -> Sequence[Row]:
        """The findings, the most severe first."""
        items: Sequence[Row] = self.page["items"] if self.page is not None else ()
        return items

    def count(self, severity: Severity) -> int:
        """How many findings are so severe."""
        return sum(each["severity"] == severity for each in self.items)

    def of_connection(self, row: Row) -> Sequence[Row]:
        """The findings that a connection is in: by its number, or where its server is one of several by its socket."""
        return self._marks.get(("conn", row["conn"])) or self.of_socket((row.get("kernel") or {}).get("inode"))

    def of_socket(self, inode: int | None) -> Sequence[Row]:
        """The findings that a socket of the machine is in."""
        return self._marks.get(("inode", inode or 0), ())

    def ask(self, *, shown: bool) -> None:
        """Ask, where it is time to; ``shown`` says that their screen is."""
        if self._run != self._link.run or (not shown and not self.everywhere and self.page is not None):
            self._run = self._link.run
            self._take(None)
        pause = _SHOWN_S if shown else _ELSEWHERE_S
        if (shown or self.everywhere) and not self._is_asking and time.monotonic() - self._asked_at >= pause:
            self._is_asking = True
            self._asked_at = time.monotonic()
            self._worker.start(self._ask(self._run))

    async def _ask(self, run: Run) -> None:
        try:
            page = await self._link.ask("GET", PATH)
        except ApiError as error:
            self.problem = error.why
        except Unreachable:
            pass  # the header says so
        else:
            self.problem = ""
            if run == self._link.run:
                self._take(page)
        finally:
            self._is_asking = False
        self._changed()

    def _take(self, page: Mapping[str, Any] | None) -> None:
        self.page = page
        self._marks = {}
        for each in self.items:
            for kind, numbers in (("conn", each["conns"]), ("inode", each["inodes"])):
                for number in numbers:
                    self._marks.setdefault((kind, number), []).append(each)
