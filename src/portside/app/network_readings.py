"""What a diagnosis looks at beside a socket table: counters, limits and holders, of one network namespace."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from portside.app.diagnose_limits import read_limits
from portside.app.kernel_columns import KernelColumns
from portside.diagnosis.observation import Columns, Holder, Holders, Limits, Observation, RowNumbers, nobody
from portside.kernel.netns import Namespace
from portside.kernel.network_counters import NetworkCounters
from portside.kernel.table import OwnersByKey, SocketTable

_LIMITS_EVERY_S = 2.0


class NetworkReadings:
    """The counters and limits of a network namespace, which make an observation of a socket table.

    Limits are read again after two seconds. ``descriptors`` says whether processes are looked for that are near their
    limit of descriptors, for which all are read. ``notes`` say what cannot be read. ``clock_ns`` is a clock that is
    never set.
    """

    def __init__(
        self,
        namespace: Namespace | None = None,
        *,
        descriptors: bool = True,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._namespace = namespace
        self._descriptors = descriptors
        self._clock_ns = clock_ns
        self._counters = NetworkCounters(namespace)
        self._limits = Limits()
        self._limits_at_ns: int | None = None
        self.notes = tuple(f"{name} cannot be read: {why}" for name, why in self._counters.missing.items())

    def observation(
        self,
        table: SocketTable,
        closed: Sequence[Columns] | None,
        holders: Callable[[RowNumbers], Holders],
        lost: int = 0,
    ) -> Observation:
        """An observation of a table that was just read. Raises NamespaceError."""
        at_ns = self._clock_ns()
        if self._limits_at_ns is None or at_ns - self._limits_at_ns >= _LIMITS_EVERY_S * 1e9:
            self._limits = read_limits(table.base["inode"] if self._descriptors else None, self._namespace)
            self._limits_at_ns = at_ns
        return Observation(
            at_ns=at_ns,
            wall=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            sockets=KernelColumns(table),
            closed=closed,
            lost=lost,
            counters=self._counters.read(),
            limits=self._limits,
            holders=holders,
        )

    def close(self) -> None:
        """Close the files of the counters."""
        self._counters.close()


def known_holders(table: SocketTable) -> Callable[[RowNumbers], Holders]:
    """A lookup of holders among the owners that a table has; it finds nobody where they were not looked up."""
    owners = table.owners
    return nobody if owners is None else lambda rows: holders_among(owners, table.hidden_owners, table, rows)


def holders_among(owners: OwnersByKey, hidden: str, table: SocketTable, rows: RowNumbers) -> Holders:
    """The holders of the sockets of some rows; ``hidden`` is why an owner may not be among the known ones."""
    by_row: list[tuple[Holder, ...] | None] = []
    for key in table.owner_keys[rows].tolist():
        each = owners.get(key, ()) if key else ()
        holders = tuple(sorted({Holder(owner.pid, owner.program) for owner in each}, key=lambda holder: holder.pid))
        by_row.append(holders if holders or not key else None)
    return Holders(by_row, hidden)
