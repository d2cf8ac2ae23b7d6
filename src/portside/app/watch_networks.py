"""``portside watch --netns all``: a table for each network namespace of this machine that can be seen."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from portside.app.all_networks import Network, hidden_networks, open_networks
from portside.app.listeners_too import report_listeners
from portside.app.notices import write_notice
from portside.app.process_limits import raise_descriptor_limit
from portside.app.stdout import write_lines
from portside.app.watch_filter import filter_text, wrong_filter
from portside.app.watch_table import show_snapshot, take
from portside.kernel.all_netns import find_namespaces
from portside.kernel.filter import FilterError
from portside.kernel.netns import NamespaceError
from portside.kernel.snapshot import Snapshot
from portside.procfs import ProcessSockets
from portside.settings.watch import Watch

if TYPE_CHECKING:
    from portside.app.proc_prefetcher import ProcPrefetcher


def show(settings: Watch, prefetcher: "ProcPrefetcher | None") -> int:
    """Show the sockets of each namespace that has any; the exit status."""
    processes = list(prefetcher.processes()) if prefetcher is not None else None
    raise_descriptor_limit()  # a machine with a thousand containers has as many namespaces
    found = find_namespaces()
    with ExitStack() as stack:
        try:
            networks = open_networks(filter_text(settings), found, stack, skip=lambda error: write_notice(str(error)))
        except FilterError as error:
            raise wrong_filter(error) from None
        seen = list(_snapshots(settings, networks, None if processes is None else lambda: processes))
        shown = [each for each in seen if len(each[1].table)]
        destroyed = False
        for number, (network, snapshot) in enumerate(shown):
            heading = [*([""] if number else []), f"network {network.name}"]
            if not settings.json and not write_lines(heading):
                return 0
            done = show_snapshot(settings, snapshot, network.namespace, network.name)
            destroyed = destroyed or (settings.kill and done)
            if not done and not settings.kill:
                return 0
        if seen and not shown:
            show_snapshot(settings, seen[0][1], None)
        report_listeners(settings, [(network.tree, network.namespace) for network, _ in seen])
    if found.hidden:
        write_notice(hidden_networks(found), "this needs root, and in a container that of the machine")
    return 1 if settings.kill and not destroyed else 0


def _snapshots(
    settings: Watch, networks: list[Network], prefetched: Callable[[], Iterable[ProcessSockets]] | None
) -> Iterator[tuple[Network, Snapshot]]:
    for network in networks:
        try:
            yield network, take(settings, network.tree, network.namespace, prefetched=prefetched)
        except NamespaceError as error:
            write_notice(str(error))
