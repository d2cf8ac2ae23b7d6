"""A snapshot of the sockets that a query matches: read, filter, find owners.

A ``Watcher`` takes one snapshot after another, and keeps the backend and the owners that it knows in between.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from portside.kernel.backend import request_of
from portside.kernel.backends import OpenBackend, open_backend
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter import parse
from portside.kernel.filter.evaluate import evaluate, possible
from portside.kernel.filter.tree import EVERYTHING, OWNER_COLUMNS, Filter, columns_of
from portside.kernel.membership import are_in
from portside.kernel.netns import Namespace
from portside.kernel.owners import OwnerFinder
from portside.kernel.resolver import SystemResolver
from portside.kernel.table import Mask, SocketTable
from portside.kernel.views import View, in_view
from portside.procfs import ProcessSockets
from portside.units import counted

_TOLD_TO_SOME = frozenset(("mark", "cgroup"))  # columns that some users or kernels do not have at all


class Snapshot(NamedTuple):
    """The sockets at one moment.

    ``source`` is ``netlink``, ``proc`` or ``psutil``. ``notes`` are lines for the user: why better sources did not
    work, and what could not be read.
    """

    table: SocketTable
    source: str
    notes: tuple[str, ...]


class Query(NamedTuple):
    """The sockets to look for, and how to read them.

    ``filter`` is text in the language of the filter, or its tree. ``view`` selects the states to show; without it,
    every state if the filter names states, else all but listeners. ``netns`` is another network namespace, as
    ``netns.Namespace`` takes it; or the namespace itself, which stays open: a name or a number may stand for another
    one later. Interfaces that the text of a filter names are those of that namespace. ``source`` is ``netlink``,
    ``proc`` or ``psutil``; None is the best one that works. ``owners`` asks for the processes that hold each socket,
    ``commands`` for the command lines of those too, ``details`` for tcp_info and memory. ``prefetched`` returns the
    sockets of each process, read ahead of the socket table. ``reader`` is one that is open already, with the dump that
    is looked for or without. ``while_waiting`` is called with the sockets that match before the result of
    ``prefetched`` is waited for, if the filter allows that.
    """

    filter: str | Filter | None = None
    view: View | None = None
    netns: str | Namespace | None = None
    source: str | None = None
    owners: bool = True
    families: tuple[int, ...] = (4, 6)
    details: bool = True
    prefetched: Callable[[], Iterable[ProcessSockets]] | None = None
    reader: DumpReader | None = None
    while_waiting: Callable[[SocketTable], None] | None = None
    commands: bool = False


def snapshot(
    filter: str | Filter | None = None,  # noqa: A002 - it is the filter, here as everywhere
    *,
    source: str | None = None,
    netns: str | Namespace | None = None,
    owners: bool = True,
    families: tuple[int, ...] = (4, 6),
    view: View | None = None,
    details: bool = True,
    commands: bool = False,
) -> Snapshot:
    """The TCP sockets of this machine that match a filter, now; the parameters are those of ``Query``.

    Raises FilterError, NamespaceError, UsageError for a source that is none, BackendError where none works, and
    NetlinkError where the kernel refuses.
    """
    return take_snapshot(Query(filter, view, netns, source, owners, families, details, commands=commands))


def take_snapshot(query: Query) -> Snapshot:
    """The TCP sockets that a query matches, now. Raises what ``snapshot`` does."""
    with Watcher(query) as watcher:
        return watcher.poll()


class Watcher:
    """Reads the sockets that a query matches at each ``poll``, and keeps the backend and the owners in between."""

    def __init__(self, query: Query = Query()) -> None:  # noqa: B008 - a query is immutable
        self._opened: OpenBackend | None = None
        self._own_namespace = Namespace(query.netns) if isinstance(query.netns, str) else None
        self._namespace = query.netns if isinstance(query.netns, Namespace) else self._own_namespace
        try:
            tree = _tree_of(query.filter, self._namespace)
        except BaseException:
            self.close()
            raise
        self._filter = in_view(tree, query.view)
        self._columns = columns_of(tree)
        self._request = request_of(self._filter, query.families, details=query.details, commands=query.commands)
        self._reader = query.reader
        self._owners: OwnerFinder | None = None
        if query.owners or self._columns & OWNER_COLUMNS:
            self._owners = OwnerFinder(commands=query.commands)
        self._prefetched = query.prefetched
        self._while_waiting = query.while_waiting
        self._source_name = query.source

    def poll(self, ages: Callable[[SocketTable], npt.NDArray[np.float64]] | None = None) -> Snapshot:
        """Take a snapshot. ``ages`` returns the time since each socket was first seen, in seconds; NaN for not known.

        Raises what ``snapshot`` does.
        """
        if self._opened is None:
            self._opened = open_backend(self._request, self._source_name, self._namespace, self._reader)
            dump = self._opened.dump
        else:
            dump = self._opened.backend.read(self._request)
        table = dump.table
        age_s = ages(table) if ages else None
        table, age_s = _narrow(table, age_s, possible(self._filter, table, age_s))
        unanswered = unsupported_columns(self._columns, table, self._opened.backend.name)
        notes = list(dict.fromkeys((*self._opened.notes, *dump.notes, *unanswered)))
        if "age_s" in self._columns and ages is None:
            notes.append("one look does not tell how old a connection is, so that no condition on its age is true")
        if self._owners is not None and table.owners is None:
            if self._while_waiting is not None and not self._columns & OWNER_COLUMNS:
                table, age_s = _narrow(table, age_s, evaluate(self._filter, table, age_s))
                self._while_waiting(table)
            table = self._with_owners(table, self._owners)
        asked = _count_hidden(table) if self._columns & OWNER_COLUMNS else 0
        table, _ = _narrow(table, age_s, evaluate(self._filter, table, age_s))
        if asked:
            sockets = counted(asked, "socket")
            more = "and no condition on them is true"
            notes.append(f"{table.hidden_owners}: the programs of {sockets} are not known, {more}")
        elif self._owners is not None and (missing := _count_hidden(table)):
            notes.append(f"{table.hidden_owners}: the programs of {missing} of these sockets are not known")
        return Snapshot(table, self._opened.backend.name, tuple(notes))

    def close(self) -> None:
        """Close the backend, and the namespace where the watcher opened it."""
        if self._opened is not None:
            self._opened.backend.close()
        if self._own_namespace is not None:
            self._own_namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_owners(self, table: SocketTable, owners: OwnerFinder) -> SocketTable:
        if self._prefetched is not None:
            owners.preload(self._prefetched())
            self._prefetched = None
        cookie = table.column("cookie")
        found = owners.find(table.base["inode"].tolist(), cookie.values.tolist() if cookie.known.all() else None)
        return table.with_owners(found, owners.hidden, owners.no_commands)


def _tree_of(given: str | Filter | None, namespace: Namespace | None) -> Filter:
    """A filter as a tree; names in its text are those of the namespace that is looked into."""
    if isinstance(given, str):
        return parse(given, SystemResolver(namespace))
    return EVERYTHING if given is None else given


def unsupported_columns(columns: Iterable[str], table: SocketTable, source: str) -> tuple[str, ...]:
    """Notes for the user on columns that a filter asks for and that no socket here has."""
    nowhere = {name for gap in table.unavailable if gap.where is None for name in gap.columns}
    notes = [f"{source} does not tell {name}: no condition on it is true" for name in sorted(nowhere & set(columns))]
    for name in sorted(_TOLD_TO_SOME & set(columns) - nowhere):
        if len(table) and not table.column(name).known.any():
            reason = table.reasons_unknown(name)[0][1]
            notes.append(f"{name}: {reason}; no condition on it is true")
    return tuple(notes)


def _count_hidden(table: SocketTable) -> int:
    """How many sockets are held by a process that may not be seen."""
    if not table.hidden_owners or table.owners is None:
        return 0
    owner_keys = table.owner_keys[table.owner_keys != 0]
    known = np.fromiter(table.owners, "i8", len(table.owners))
    return int((~are_in(owner_keys, known)).sum())


def _narrow(
    table: SocketTable, age_s: npt.NDArray[np.float64] | None, which: Mask
) -> tuple[SocketTable, npt.NDArray[np.float64] | None]:
    if which.all():
        return table, age_s
    return table.select(which), None if age_s is None else age_s[which]
