"""``portside watch --once``: the filter, and then one of two ways to the table: few sockets need no numpy."""

import gc
from contextlib import ExitStack
from typing import TYPE_CHECKING

from portside.app import watch_few
from portside.app.listeners_too import report_listeners
from portside.app.watch_filter import parse_filter
from portside.kernel.netns import Namespace
from portside.settings.watch import Watch

if TYPE_CHECKING:
    from portside.app.proc_prefetcher import ProcPrefetcher


def run(settings: Watch, prefetcher: "ProcPrefetcher | None" = None) -> int:
    """Take one snapshot and show it; the exit status. ``prefetcher`` is already reading the processes."""
    # Nothing here is garbage before the end, and looking for it takes a fifth of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _run(settings, prefetcher)
    finally:
        if prefetcher is not None:
            prefetcher.close()
        if collects:
            gc.enable()


def _run(settings: Watch, prefetcher: "ProcPrefetcher | None") -> int:
    if settings.sort is not None:
        from portside.app.sort_order import parse_sort

        parse_sort(settings.sort)  # what is wrong about it is said first
    if settings.netns == "all":
        from portside.app import watch_networks

        return watch_networks.show(settings, prefetcher)
    with ExitStack() as stack:
        # Opened once: when its process has ended, its number may come to stand for another network.
        namespace = stack.enter_context(Namespace(settings.netns)) if settings.netns is not None else None
        tree = parse_filter(settings, namespace)
        reader = None
        if watch_few.suits(settings, tree) and (reader := watch_few.open_reader()) is not None:
            sockets = watch_few.read(reader, settings, tree)
            if sockets is not None:
                reader.close()
                watch_few.show(settings, sockets, prefetcher)
                report_listeners(settings, [(tree, namespace)])
                return 0
        from portside.app import watch_table  # numpy, which takes as long as all the rest of a start

        status = watch_table.show(settings, tree, namespace, prefetcher=prefetcher, reader=reader)
        report_listeners(settings, [(tree, namespace)])
        return status
