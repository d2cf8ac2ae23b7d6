"""``portside watch --netns all``: a table for each network namespace of this machine that can be seen."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from portside.app.listeners_too import report_listeners
from portside.app.notices import write_notice
from portside.app.stdout import write_lines
from portside.app.watch_filter import filter_text, parse_filter, wrong_filter
from portside.app.watch_table import show_snapshot, take
from portside.errors import InvalidValue
from portside.kernel.all_netns import FoundNamespaces, find_namespaces
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import Filter
from portside.kernel.netns import Namespace, NamespaceError
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import Snapshot
from portside.procfs import ProcessSockets
from portside.settings.watch import Watch
from portside.units import counted

if TYPE_CHECKING:
    from portside.app.proc_prefetcher import ProcPrefetcher

_NO_INTERFACE = -1  # a number that no interface has


class _Network(NamedTuple):
    """A namespace to look into (None: this process's own), the name to show for it, and the filter there."""

    name: str
    namespace: Namespace | None
    tree: Filter


class _Interfaces(SystemResolver):
    """The resolver of one of several namespaces: an interface that only others have is none here."""

    def __init__(self, namespace: Namespace | None) -> None:
        super().__init__(namespace)
        self.has_all = True

    def interface(self, name: str) -> int:
        """The number of an interface, or that of none. Raises InvalidValue where the name may be a number itself."""
        try:
            return super().interface(name)
        except InvalidValue:
            if name.isascii() and name.isdigit():
                raise
            self.has_all = False
            return _NO_INTERFACE


def show(settings: Watch, prefetcher: "ProcPrefetcher | None") -> int:
    """Show the sockets of each namespace that has any; the exit status."""
    processes = list(prefetcher.processes()) if prefetcher is not None else None
    found = find_namespaces()
    with ExitStack() as stack:
        networks = _open(settings, found, stack)
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
        what = counted(found.hidden, "process", "processes")
        write_notice(
            f"the networks of {what} cannot be seen", "this needs root, and in a container that of the machine"
        )
    return 1 if settings.kill and not destroyed else 0


def _snapshots(
    settings: Watch, networks: list[_Network], prefetched: Callable[[], Iterable[ProcessSockets]] | None
) -> Iterator[tuple[_Network, Snapshot]]:
    for network in networks:
        try:
            yield network, take(settings, network.tree, network.namespace, prefetched=prefetched)
        except NamespaceError as error:
            write_notice(str(error))


def _open(settings: Watch, found: FoundNamespaces, stack: ExitStack) -> list[_Network]:
    """Open each namespace.

    Raises UsageError for a filter that is wrong, or that names an interface which none of them has.
    """
    networks = []
    named = False
    for each in found.namespaces:
        try:
            namespace = None if each.own else stack.enter_context(Namespace(each.path))
            names = _Interfaces(namespace)
            tree = parse(filter_text(settings), names)
        except FilterError as error:
            raise wrong_filter(error) from None
        except NamespaceError as error:  # its last process has ended meanwhile, or it may not be entered
            write_notice(str(error))
            continue
        named = named or names.has_all
        networks.append(_Network(each.name, namespace, tree))
    if not named:
        parse_filter(settings, None)  # says which name it is, and where
    return networks
