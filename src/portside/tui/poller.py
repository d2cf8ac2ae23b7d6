"""Polling of the sockets for the live display: all that runs in its worker thread."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from portside.app.listeners_too import leaves_out_listeners, listeners_text
from portside.app.sort_order import Sort
from portside.app.watch_filter import filter_text
from portside.app.watch_table import query_of
from portside.kernel.destroy import destroy
from portside.kernel.filter import And, FilterError, PortIn, StateIn, parse
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import Watcher
from portside.kernel.states import ALL, CONNECTED, LISTENING
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch
from portside.tui.finding_marks import NOTHING_FOUND
from portside.tui.live_diagnosis import LiveDiagnosis
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
        self._watch(tree)
        self._details: tuple[int, Watcher] | None = None  # the socket of which everything is shown

    def parse_filter(self, text: str) -> Filter | None:
        """A filter as it was typed; None for none. May ask the resolver, on any thread. Raises FilterError."""
        return parse(text, SystemResolver(self._namespace)) if text.strip() else None

    def set_filter(self, tree: Filter | None) -> None:
        """Read the sockets of another filter from now on."""
        before = self._reading
        self._watch(tree)
        before.close()
        self._diff.restart()

    def _watch(self, tree: Filter | None) -> None:
        """Begin to read the sockets of a filter.

        Where listeners match and are left out, they are read all the same: to be counted where there is a filter, and
        with ``--wide``, in the same dump, for what is wrong with them.
        """
        wide = self._settings.wide
        left_out = leaves_out_listeners(self._settings, tree)
        query = self._query._replace(filter=tree)
        listeners: Watcher | None = None
        diagnosis: LiveDiagnosis | None = None
        with ExitStack() as stack:
            watcher = stack.enter_context(Watcher(query._replace(view="all") if wide and left_out else query))
            if wide:
                diagnosis = stack.enter_context(LiveDiagnosis(self._namespace, whole=self._is_whole(tree)))
            elif left_out and tree is not None:
                query = query._replace(view="listening", owners=False, details=False)
                listeners = stack.enter_context(Watcher(query))
            self._reading = stack.pop_all()
        self._watcher, self._listeners, self._diagnosis = watcher, listeners, diagnosis
        self._hides_listeners = wide and left_out
        self._counts_listeners = left_out and tree is not None

    def _is_whole(self, tree: Filter | None) -> bool:
        """Whether all sockets of the network are read."""
        settings = self._settings
        return tree is None and not (settings.listening or settings.ipv4 or settings.ipv6)

    def poll(self) -> ViewState:
        """The sockets now, compared with those of the poll before."""
        now = self._clock()
        seen = self._watcher.poll(lambda table: self._diff.ages(table, now))
        table, listeners = seen.table, 0
        found = self._diagnosis.observe(table) if self._diagnosis is not None else NOTHING_FOUND
        if self._hides_listeners:
            listeners = int(evaluate(StateIn(LISTENING), table).sum())
            table = table.select(evaluate(StateIn(CONNECTED), table))
        elif self._listeners is not None:
            listeners = len(self._listeners.poll().table)
        notes = (*seen.notes, listeners_text(listeners)) if listeners and self._counts_listeners else seen.notes
        view = self._diff.compare(table, seen.source, notes, now)
        view.findings = found
        return view

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
        """Close what reads, and the namespace."""
        self.stop_details()
        self._reading.close()
        self._close_namespace()

    def _close_namespace(self) -> None:
        if self._namespace is not None:
            self._namespace.close()
