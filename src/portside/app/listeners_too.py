"""The number of listeners that match, for a table of connections, which does not show them.

Somebody who looks for a port on which a program only listens would see an empty table, and take the port for free.
"""

from collections.abc import Iterable

from portside.app.notices import write_notice
from portside.app.watch_filter import families_of, view_of
from portside.errors import PortsideError
from portside.kernel.backend import request_of
from portside.kernel.dump_reader import DumpReader, LostError
from portside.kernel.few_sockets import can_answer, decode_few, matches
from portside.kernel.filter.tree import EVERYTHING, Filter, mentions_state
from portside.kernel.netns import Namespace
from portside.kernel.views import in_view
from portside.settings.watch import Watch


def report_listeners(settings: Watch, looks: Iterable[tuple[Filter, Namespace | None]]) -> None:
    """Report how many listeners match where a table shows connections alone: the filter of each network, and it."""
    if settings.json or settings.summary or settings.kill:
        return
    if count := sum(count_listeners(settings, *look) for look in looks if leaves_out_listeners(settings, look[0])):
        write_notice(listeners_text(count))


def leaves_out_listeners(settings: Watch, tree: Filter | None) -> bool:
    """Whether connections alone are shown, and nobody has asked for that."""
    return view_of(settings) is None and not mentions_state(EVERYTHING if tree is None else tree)


def count_listeners(settings: Watch, tree: Filter, namespace: Namespace | None) -> int:
    """How many listeners match the filter; 0 where that cannot be read."""
    try:
        if namespace is None and settings.source in (None, "netlink") and can_answer(tree):
            found = _count_few(settings, tree)
            if found is not None:
                return found
        return _count_any(settings, tree, namespace)
    except (PortsideError, LostError):
        return 0


def listeners_text(count: int) -> str:
    """The line that tells of them."""
    what = "1 listener matches" if count == 1 else f"{count} listeners match"
    return f"{what} too: -l shows listeners, -a both"


def _count_few(settings: Watch, tree: Filter) -> int | None:
    """The number, without numpy; None where there are many."""
    chosen = in_view(tree, "listening")
    reader = DumpReader()
    try:
        sockets = decode_few(reader.read(request_of(chosen, families_of(settings), details=False)))
    finally:
        reader.close()
    return None if sockets is None else sum(matches(chosen, socket) for socket in sockets)


def _count_any(settings: Watch, tree: Filter, namespace: Namespace | None) -> int:
    from portside.app.watch_table import query_of
    from portside.kernel.snapshot import take_snapshot

    query = query_of(settings, tree, namespace)
    return len(take_snapshot(query._replace(view="listening", owners=False, details=False)).table)
