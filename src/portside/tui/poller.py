"""The looking itself: what runs beside the display, in one thread of its own."""

import time
from collections.abc import Callable

from portside.app.watch import filter_text, view_of
from portside.kernel import Watcher
from portside.kernel.destroy import destroy
from portside.kernel.filter import And, PortIn, StateIn, parse
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import View
from portside.kernel.states import ALL
from portside.kernel.table import BASE_COLUMNS, SocketTable
from portside.settings.watch import Watch
from portside.tui.order import SHOWN, Sort
from portside.tui.snapshot_diff import SnapshotDiff, ViewState, keys_of


def parse_filter(text: str) -> Filter | None:
    """A filter as it was typed; None for none. May ask the resolver. Raises FilterError."""
    return parse(text, SystemResolver()) if text.strip() else None


class Poller:
    """Looks at the sockets of a filter, one call at a time, in one network. Raises what ``Watcher`` does."""

    def __init__(self, settings: Watch, sort: Sort, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._details = settings.wide or settings.listening or sort.column not in (*SHOWN, *BASE_COLUMNS)
        self._diff = SnapshotDiff()
        self._families = tuple(number for number, only in ((4, settings.ipv4), (6, settings.ipv6)) if only) or (4, 6)
        self._one: tuple[int, Watcher] | None = None
        tree = parse_filter(filter_text(settings))
        # Once for all: when its process has ended, its number may come to stand for another network.
        self._namespace = Namespace(settings.netns) if settings.netns is not None else None
        self._watcher = self._open_all(tree)

    def choose(self, tree: Filter | None) -> None:
        """Look at other sockets from now on."""
        watcher = self._open_all(tree)
        self._watcher.close()
        self._watcher = watcher
        self._diff.restart()

    def look(self) -> ViewState:
        """The sockets now, compared with those before."""
        now = self._clock()
        seen = self._watcher.look(lambda table: self._diff.ages(table, now))
        return self._diff.follow(seen.table, seen.source, seen.notes, now)

    def look_at(self, key: int, table: SocketTable) -> Socket | None:
        """Everything about one socket, given as a table of one; None where it is gone."""
        if self._one is None or self._one[0] != key:
            self.stop_details()
            base = table.base[0]
            local, remote = int(base["local_port"]), int(base["remote_port"])
            tree = And((PortIn("local", local, local), PortIn("remote", remote, remote), StateIn(ALL)))
            self._one = key, self._open(tree, "all", details=True)
        seen = self._one[1].look().table
        which = keys_of(seen) == key
        return next(to_sockets(seen.select(which))) if which.any() else None

    def stop_details(self) -> None:
        """Nobody asks for one socket any more."""
        if self._one is not None:
            self._one[1].close()
            self._one = None

    def destroy(self, table: SocketTable) -> int:
        """Destroy sockets: how many there still were. Raises DestroyError and NamespaceError."""
        return len(destroy(table, self._namespace).table)

    def close(self) -> None:
        """Give back what it holds."""
        self.stop_details()
        self._watcher.close()
        if self._namespace is not None:
            self._namespace.close()

    def _open_all(self, tree: Filter | None) -> Watcher:
        return self._open(tree, view_of(self._settings), details=self._details)

    def _open(self, tree: Filter | None, view: View | None, *, details: bool) -> Watcher:
        return Watcher(
            tree,
            source=self._settings.source,
            netns=self._namespace,
            owners=not self._settings.no_processes,
            families=self._families,
            view=view,
            details=details,
        )
