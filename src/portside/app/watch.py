"""``portside watch --once``: the table, its JSON or its summary on standard output, and ``--kill``."""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

from portside.app.notices import write_notice
from portside.app.proc_prefetcher import ProcPrefetcher
from portside.app.sort_order import Sort, parse_sort, sorted_rows
from portside.app.stdout import write_stdout
from portside.app.table_text import table_text
from portside.errors import UsageError
from portside.kernel import FilterError, Query, Snapshot, SocketTable, View
from portside.kernel.filter import parse
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import take_snapshot
from portside.settings.watch import Watch
from portside.units import counted

_JSON_BATCH = 1024
_MOST_ON_A_TERMINAL = 20


def run(settings: Watch, prefetcher: ProcPrefetcher | None = None) -> int:
    """Take one snapshot and show it; the exit status. ``prefetcher`` is already reading the processes."""
    sort = parse_sort(settings.sort) if settings.sort is not None else None
    # Nothing here is garbage before the end, and looking for it takes a fifth of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _run(settings, sort, prefetcher)
    finally:
        if prefetcher is not None:
            prefetcher.close()
        if collects:
            gc.enable()


def _run(settings: Watch, sort: Sort | None, prefetcher: ProcPrefetcher | None) -> int:
    with ExitStack() as stack:
        # Opened once: when its process has ended, its number may come to stand for another network.
        namespace = stack.enter_context(Namespace(settings.netns)) if settings.netns is not None else None
        try:
            tree = parse(filter_text(settings), SystemResolver(namespace))
        except FilterError as error:
            raise wrong_filter(error) from None
        seen = _snapshot(settings, tree, namespace, sort, prefetcher)
        if settings.kill:
            return _kill(settings, seen, namespace)
        read = write_stdout(_pieces(settings, seen.table))
        if read:
            for note in seen.notes:
                write_notice(note)
            if settings.listening and not settings.json:
                _report_listen_overflows(namespace)
    return 0


def _snapshot(
    settings: Watch, tree: Filter, namespace: Namespace | None, sort: Sort | None, prefetcher: ProcPrefetcher | None
) -> Snapshot:
    """The sockets that the settings choose, in their order."""
    query = query_of(settings, tree, namespace)._replace(
        owners=not settings.no_processes or (sort is not None and sort.needs_owners),
        details=settings.json or settings.wide or settings.listening or (sort is not None and sort.needs_details),
        prefetched=prefetcher.processes if prefetcher is not None else None,
    )
    if settings.kill:
        query = query._replace(source="netlink")
    seen = take_snapshot(query)
    return seen if sort is None else seen._replace(table=seen.table.select(sorted_rows(seen.table, sort)))


def query_of(settings: Watch, tree: Filter | None, namespace: Namespace | None) -> Query:
    """The query for the sockets that the settings choose, with this filter, in this network namespace."""
    return Query(
        tree,
        view_of(settings),
        namespace,
        settings.source,
        owners=not settings.no_processes,
        families=(4,) if settings.ipv4 else (6,) if settings.ipv6 else (4, 6),
    )


def filter_text(settings: Watch) -> str:
    """The filter as one text."""
    return " ".join(settings.filter)


def view_of(settings: Watch) -> View | None:
    """Which states are shown; None leaves it to the filter."""
    return "all" if settings.all else "listening" if settings.listening else None


def wrong_filter(error: FilterError) -> UsageError:
    """The usage error for a filter that cannot be read; the hint shows the place."""
    _, shown, mark = str(error).rsplit("\n", 2)
    return UsageError("watch", error.problem, (shown[2:].rstrip(), f"{' ' * len('hint: ')}{mark[2:]}"))


def _pieces(settings: Watch, table: SocketTable) -> Iterator[bytes]:
    owners = not settings.no_processes
    if settings.json:
        return _json(table)
    if settings.summary:
        from portside.app.table_summary import summary_text

        return summary_text(table, most=_MOST_ON_A_TERMINAL if sys.stdout.isatty() else None)
    return table_text(table, owners=owners, wide=settings.wide, drops=settings.listening and not settings.all)


def _json(table: SocketTable) -> Iterator[bytes]:
    from portside.kernel import to_json

    lines = map(to_json, to_sockets(table))
    while batch := list(islice(lines, _JSON_BATCH)):
        yield b"\n".join((*batch, b""))


def _report_listen_overflows(namespace: Namespace | None) -> None:
    from portside.kernel.listen_overflows import read_listen_overflows

    drops = read_listen_overflows(namespace)
    if drops is None:
        write_notice("this kernel does not tell how often an accept queue was full")
        return
    overflows, dropped = drops
    write_notice(
        f"in this network, since it began: {overflows} times a full accept queue (ListenOverflows), "
        f"{dropped} connections dropped by listeners (ListenDrops)"
    )


def _kill(settings: Watch, seen: Snapshot, namespace: Namespace | None) -> int:
    """Destroy the sockets of a snapshot and show them; report their number even if the table's reader is gone."""
    from portside.kernel.destroy import DestroyError, destroy

    refused: DestroyError | None = None
    try:
        table, gone = destroy(seen.table, namespace)
    except DestroyError as error:
        refused, (table, gone) = error, error.before
        if not len(table):
            raise
    try:
        write_stdout(_pieces(settings, table))
    finally:
        for note in seen.notes:
            write_notice(note)
        after = f"; {gone} had gone before" if gone else ""
        write_notice(f"destroyed {counted(len(table), 'socket')}{after}")
    if refused is not None:
        raise refused
    return 0
