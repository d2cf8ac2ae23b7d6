"""``portside watch --once`` with the socket table: as text, JSON or a summary, sorted, and ``--kill``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.app.proc_prefetcher import ProcPrefetcher
from portside.app.sort_order import parse_sort, sorted_rows
from portside.app.stdout import terminal_width, write_stdout
from portside.app.table_text import TableText
from portside.app.watch_filter import families_of, view_of
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.netns import Namespace
from portside.kernel.snapshot import Query, Snapshot, take_snapshot
from portside.kernel.table import SocketTable
from portside.procfs import ProcessSockets
from portside.settings.watch import Watch
from portside.units import counted

if TYPE_CHECKING:
    from portside.app.one_look import OneLook

_JSON_BATCH = 1024
_MOST_ON_A_TERMINAL = 20


def show(
    settings: Watch,
    tree: Filter,
    namespace: Namespace | None = None,
    *,
    prefetcher: ProcPrefetcher | None = None,
    reader: DumpReader | None = None,
) -> int:
    """Take one snapshot and show it; the exit status.

    ``prefetcher`` is already reading the processes; ``reader`` is open already, and may have the dump.
    """
    text = None if settings.json or settings.summary or settings.kill or settings.sort else _new_text(settings)
    seen = take(
        settings,
        tree,
        namespace,
        prefetched=prefetcher.processes if prefetcher is not None else None,
        reader=reader,
        while_waiting=text.prepare if text is not None else None,
    )
    shown = show_snapshot(settings, seen, namespace, text=text)
    return 1 if settings.kill and not shown else 0


def take(
    settings: Watch,
    tree: Filter,
    namespace: Namespace | None,
    *,
    prefetched: Callable[[], Iterable[ProcessSockets]] | None = None,
    reader: DumpReader | None = None,
    while_waiting: Callable[[SocketTable], None] | None = None,
) -> Snapshot:
    """The sockets that the settings choose, in their order; the parameters as for ``show`` and in ``Query``."""
    sort = parse_sort(settings.sort) if settings.sort is not None else None
    query = query_of(settings, tree, namespace)._replace(
        source="netlink" if settings.kill else settings.source,
        owners=not settings.no_processes or (sort is not None and sort.needs_owners),
        details=settings.json or settings.wide or settings.listening or (sort is not None and sort.needs_details),
        commands=settings.json or settings.wide,
        prefetched=prefetched,
        reader=reader,
        while_waiting=while_waiting,
    )
    seen = take_snapshot(query)
    return seen if sort is None else seen._replace(table=seen.table.select(sorted_rows(seen.table, sort)))


def show_snapshot(
    settings: Watch,
    seen: Snapshot,
    namespace: Namespace | None,
    netns: str | None = None,
    *,
    text: TableText | None = None,
) -> bool:
    """Show a snapshot, or destroy its sockets; False if the reader of standard output has gone, or none was destroyed.

    ``netns`` is the name of the namespace where several are shown; ``text`` is that of this table if it is prepared.
    """
    if settings.kill:
        return _kill(settings, seen, namespace, netns)
    look = _look_once(settings, seen.table, namespace)
    read = write_stdout(_pieces(settings, seen.table, netns, text, look))
    if read:
        if look is not None:
            from portside.app.one_look import sentences

            for sentence in sentences(look):
                write_notice(_about(netns, sentence))
        for note in seen.notes:
            write_notice(_about(netns, note))
        if settings.listening and not settings.json:
            write_notice(_about(netns, _listen_overflows(namespace)))
    return read


def _look_once(settings: Watch, table: SocketTable, namespace: Namespace | None) -> "OneLook | None":
    """The findings of one look, where they are shown."""
    if not settings.wide:
        return None
    from portside.app.one_look import look_once  # the rules, which no other table needs

    return look_once(table, namespace)


def _about(netns: str | None, note: str) -> str:
    return note if netns is None else f"network {netns}: {note}"


def query_of(settings: Watch, tree: Filter | None, namespace: Namespace | None) -> Query:
    """The query for the sockets that the settings choose, with this filter, in this network namespace."""
    return Query(
        tree,
        view_of(settings),
        namespace,
        settings.source,
        owners=not settings.no_processes,
        families=families_of(settings),
    )


def _new_text(settings: Watch) -> TableText:
    drops = settings.listening and not settings.all
    return TableText(owners=not settings.no_processes, wide=settings.wide, drops=drops, width=terminal_width())


def _pieces(
    settings: Watch,
    table: SocketTable,
    netns: str | None,
    text: TableText | None = None,
    look: "OneLook | None" = None,
) -> Iterator[bytes]:
    if settings.json:
        return _json(table, netns)
    if settings.summary:
        from portside.app.table_summary import summary_text

        return summary_text(table, most=_MOST_ON_A_TERMINAL if sys.stdout.isatty() else None)
    return (text or _new_text(settings)).pieces(table, None if look is None else look.codes)


def _json(table: SocketTable, netns: str | None) -> Iterator[bytes]:
    from portside.kernel.models import to_json

    lines = map(to_json, to_sockets(table, netns))
    while batch := list(islice(lines, _JSON_BATCH)):
        yield b"\n".join((*batch, b""))


def _listen_overflows(namespace: Namespace | None) -> str:
    from portside.kernel.listen_overflows import read_listen_overflows

    drops = read_listen_overflows(namespace)
    if drops is None:
        return "this kernel does not tell how often an accept queue was full"
    overflows, dropped = drops
    return (
        f"in this network, since it began: {overflows} times a full accept queue (ListenOverflows), "
        f"{dropped} connections dropped by listeners (ListenDrops)"
    )


def _kill(settings: Watch, seen: Snapshot, namespace: Namespace | None, netns: str | None) -> bool:
    """Destroy the sockets of a snapshot and show them; report their number even if the table's reader is gone.

    The result is whether any was destroyed.
    """
    from portside.kernel.destroy import DestroyError, destroy

    refused: DestroyError | None = None
    try:
        table, gone = destroy(seen.table, namespace)
    except DestroyError as error:
        refused, (table, gone) = error, error.before
        if not len(table):
            raise
    try:
        write_stdout(_pieces(settings, table, netns))
    finally:
        for note in seen.notes:
            write_notice(_about(netns, note))
        after = f"; {gone} had gone before" if gone else "" if len(table) else ": none matches"
        write_notice(_about(netns, f"destroyed {counted(len(table), 'socket')}{after}"))
    if refused is not None:
        raise refused
    return len(table) > 0
