"""The network namespaces of this machine, with one filter that is read for each of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.kernel.all_netns import FoundNamespaces
from portside.kernel.filter import parse
from portside.kernel.filter.tree import Filter
from portside.kernel.netns import Namespace, NamespaceError
from portside.kernel.resolver import SystemResolver
from portside.units import counted

Skip = Callable[[NamespaceError], None]

_NO_INTERFACE = -1  # a number that no interface has


class Network(NamedTuple):
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


def open_networks(text: str, found: FoundNamespaces, stack: ExitStack, *, skip: Skip) -> list[Network]:
    """Open each namespace until the end of ``stack``, and read the filter with its interfaces; as ``iter_networks``."""
    return list(_networks(text, found, lambda: stack.enter_context(ExitStack()), skip))


def iter_networks(text: str, found: FoundNamespaces, *, skip: Skip) -> Iterator[Network]:
    """Each namespace, open until the next one is asked for: there may be more than a process may have descriptors.

    ``skip`` is called for a namespace that may not be entered, or whose last process has ended meanwhile. Raises
    FilterError for a filter that is wrong; at the end also for one that names an interface which none of them has.
    """
    with ExitStack() as stack:

        def closed_before() -> ExitStack:
            stack.close()
            return stack

        yield from _networks(text, found, closed_before, skip)


def _networks(text: str, found: FoundNamespaces, next_stack: Callable[[], ExitStack], skip: Skip) -> Iterator[Network]:
    named = False
    for each in found.namespaces:
        try:
            namespace = None if each.own else next_stack().enter_context(Namespace(each.path))
            names = _Interfaces(namespace)
            tree = parse(text, names)
        except NamespaceError as error:
            skip(error)
            continue
        named = named or names.has_all
        yield Network(each.name, namespace, tree)
    if not named:
        parse(text, SystemResolver(None))  # says which name it is, and where


def hidden_networks(found: FoundNamespaces) -> str:
    """The notice that the namespaces of some processes may not be seen."""
    return f"the networks of {counted(found.hidden, 'process', 'processes')} cannot be seen"
