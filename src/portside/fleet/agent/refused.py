"""The announcements of closed sockets that a diagnosis needs: of attempts to connect that were refused."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from portside.app.kernel_columns import KernelColumns
from portside.diagnosis.observation import Columns
from portside.diagnosis.series import refused_attempts
from portside.kernel.table import SocketTable

_MOST: Final = 64  # tables with such attempts, each of some hundred kilobytes at most


class RefusedAttempts:
    """Kept by the thread that takes announcements, and taken by the one that looks for findings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: deque[Columns] = deque(maxlen=_MOST)
        self._lost_before = 0

    def add(self, table: SocketTable) -> None:
        """Keep the attempts that are among these announcements."""
        refused = refused_attempts(KernelColumns(table))
        if len(refused):
            with self._lock:
                self._tables.append(refused)

    def take(self, lost: int) -> tuple[Sequence[Columns], int]:
        """Those since the last call; and of all ``lost`` announcements those since then."""
        with self._lock:
            tables = list(self._tables)
            self._tables.clear()
        since, self._lost_before = lost - self._lost_before, lost
        return tables, since
