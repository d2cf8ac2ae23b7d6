"""Polling of the sockets for the live display: all that runs in its worker thread."""

import time
from collections.abc import Callable

from portside.app.listeners_too import leaves_out_listeners, listeners_text
from portside.app.sort_order import Sort
from portside.app.watch_filter import filter_text
from portside.app.watch_table import query_of
from portside.kernel.destroy import destroy
from portside.kernel.filter import And, FilterError, PortIn, StateIn, parse
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import Watcher
from portside.kernel.states import ALL
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch
from portside.tui.snapshot_diff import SnapshotDiff, ViewState, keys_of


class Poller:
    """Reads the sockets of a filter in one network namespace, one call at a time.

    Raises what ``Watcher`` does, and FilterError for the filter of the settings.
    """

    def __init__(self, settings: Watch, sort: Sort, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._diff = SnapshotDiff()
        # Once for all: when its process has ended, its number may come to stand for another network.
        self._namespace = Namespace(settings.netns) if settings.netns is not None else None
        try:
            tree = self.parse_filter(filter_text(settings))
        except FilterError:
            self._close_namespace()
            raise
        self._query = query_of(settings, tree, self._namespace)._replace(
            details=settings.wide or settings.listening or sort.needs_details,
            commands=settings.wide,
        )
        self._settings = settings
        self._watcher = Watcher(self._query)
        self._listeners = self._watch_listeners(tree)
        self._details: tuple[int, Watcher] | None = None  # the socket of which everything is shown

    def parse_filter(self, text: str) -> Filter | None:
        """A filter as it was typed; None for none. May ask the resolver, on any thread. Raises FilterError."""
        return parse(text, SystemResolver(self._namespace)) if text.strip() else None

    def set_filter(self, tree: Filter | None) -> None:
        """Read the sockets of another filter from now on."""
        watcher = Watcher(self._query._replace(filter=tree))
        self._close_watchers()
        self._watcher, self._listeners = watcher, self._watch_listeners(tree)
        self._diff.restart()

    def _watch_listeners(self, tree: Filter | None) -> Watcher | None:
        """Reads the listeners that match, to be counted; None where there is no filter, or where they are shown."""
        if tree is None or not leaves_out_listeners(self._settings, tree):
            return None
        return Watcher(self._query._replace(filter=tree, view="listening", owners=False, details=False))

    def poll(self) -> ViewState:
        """The sockets now, compared with those of the poll before."""
        now = self._clock()
        seen = self._watcher.poll(lambda table: self._diff.ages(table, now))
        notes = seen.notes
        if self._listeners is not None and (count := len(self._listeners.poll().table)):
            notes = (*notes, listeners_text(count))
        return self._diff.compare(seen.table, seen.source, notes, now)

    def poll_details(self, key: int, table: SocketTable) -> Socket | None:
        """Everything about one socket, given as a table of one; None where it is gone."""
        if self._details is None or self._details[0] != key:
            self.stop_details()
            base = table.base[0]
            local, remote = int(base["local_port"]), int(base["remote_port"])
            tree = And((PortIn("local", local, local), PortIn("remote", remote, remote), StateIn(ALL)))
            self._details = key, Watcher(self._query._replace(filter=tree, view="all", details=True, commands=True))
        seen = self._details[1].poll().table
        which = keys_of(seen) == key
        return next(to_sockets(seen.select(which))) if which.any() else None

    def stop_details(self) -> None:
        """Close the watcher of ``poll_details``, when the details of a socket are no longer shown."""
        if self._details is not None:
            self._details[1].close()
            self._details = None

    def destroy(self, table: SocketTable) -> int:
        """Destroy sockets: how many there still were. Raises DestroyError and NamespaceError."""
        return len(destroy(table, self._namespace).table)

    def close(self) -> None:
        """Close the watchers and the namespace."""
        self.stop_details()
        self._close_watchers()
        self._close_namespace()

    def _close_watchers(self) -> None:
        self._watcher.close()
        if self._listeners is not None:
            self._listeners.close()

    def _close_namespace(self) -> None:
        if self._namespace is not None:
            self._namespace.close()
