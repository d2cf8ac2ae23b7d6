"""What the parts of an agent know of the machine and count of themselves: for the node's status, and for metrics."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from portside.fleet.agent.notices import AgentNotices
from portside.fleet.outbox.database import NO_POSITIONS
from portside.fleet.schema import Kind, OutboxStatus, Record

if TYPE_CHECKING:
    from portside.diagnosis.findings import Finding
    from portside.kernel.table import SocketTable


class Add(Protocol):
    """The way by which records are handed over, to be published; from any thread.

    ``positions`` say how far their sources have been read, by name: they are kept as soon as the records are.
    """

    def __call__(
        self, kind: Kind, records: Sequence[Record], positions: Mapping[str, int] = NO_POSITIONS, /
    ) -> object: ...


class Tally:
    """The last table, the last findings, and counts since the agent began. Read and written from any thread.

    ``table`` has all TCP sockets of the machine, listeners too, but those in TIME_WAIT, of which ``time_wait`` is the
    count; None before the first look, as ``findings`` are. ``looked_s`` is when it was read, by the monotonic clock.
    ``sampled`` events of connections were left out because there were too many, and
    ``lost`` announcements of the kernel were lost. ``outbox`` tells what waits there.
    """

    def __init__(self, outbox: Callable[[], OutboxStatus]) -> None:
        self.outbox = outbox
        self.table: SocketTable | None = None
        self.time_wait: int | None = None
        self.looked_s: float | None = None
        self.findings: tuple[Finding, ...] | None = None
        self.sampled = 0
        self.lost = 0
        self._lock = threading.Lock()
        self._records: dict[Kind, int] = {}

    def counting(self, add: Add) -> Add:
        """``add``, with what goes through counted."""

        def counted(kind: Kind, records: Sequence[Record], positions: Mapping[str, int] = NO_POSITIONS, /) -> None:
            add(kind, records, positions)
            with self._lock:
                self._records[kind] = self._records.get(kind, 0) + len(records)

        return counted

    @property
    def records(self) -> dict[Kind, int]:
        """How many records were made, by kind."""
        with self._lock:
            return dict(self._records)


class Outlet(NamedTuple):
    """The ways out of a source: records, counts for the node's status, and notices for the user."""

    add: Add
    tally: Tally
    notices: AgentNotices
