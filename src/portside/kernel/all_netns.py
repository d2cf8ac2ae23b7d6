"""The network namespaces of this machine that can be seen: those with a name, and those of processes."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from portside.kernel.netns import RUN
from portside.procfs import PROC

OWN = f"{PROC}/self/ns/net"

_Identity = tuple[int, int]


class FoundNamespace(NamedTuple):
    """A network namespace: ``name`` is what ``--netns`` takes for it, ``path`` its file; ``own`` is this process's."""

    name: str
    path: str
    own: bool


class FoundNamespaces(NamedTuple):
    """The namespaces that were found, this process's own first; ``hidden`` processes may be in others."""

    namespaces: tuple[FoundNamespace, ...]
    hidden: int


def find_namespaces() -> FoundNamespaces:
    """Find each network namespace once: by its name where it has one, else by the lowest number of its processes."""
    own = _identity(OWN)
    found: dict[_Identity, FoundNamespace] = {}
    hidden = 0
    taken = set()
    for name in sorted(_names()):
        taken.add(name)
        identity = _identity(f"{RUN}/{name}")
        if identity is not None:
            found.setdefault(identity, FoundNamespace(name, f"{RUN}/{name}", identity == own))
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isdigit()):
        try:
            for path in _paths(pid):
                identity = _identity(path)
                if identity is not None:
                    short = path == f"{PROC}/{pid}/ns/net" and str(pid) not in taken
                    name = str(pid) if short else path
                    found.setdefault(identity, FoundNamespace(name, path, identity == own))
        except PermissionError:
            hidden += 1
    return FoundNamespaces(tuple(sorted(found.values(), key=lambda each: not each.own)), hidden)


def _paths(pid: int) -> Iterator[str]:
    """The files of the namespaces of a process: each of its threads may be in another, setns(2)."""
    yield f"{PROC}/{pid}/ns/net"
    try:
        threads = sorted(int(name) for name in os.listdir(f"{PROC}/{pid}/task"))
    except OSError:  # it has ended
        return
    yield from (f"{PROC}/{pid}/task/{thread}/ns/net" for thread in threads if thread != pid)


def _names() -> Iterator[str]:
    try:
        yield from os.listdir(RUN)
    except OSError:  # nothing made one
        return


def _identity(path: str) -> _Identity | None:
    """The device and inode of a namespace, which no other has; None where it is gone. Raises PermissionError."""
    try:
        status = os.stat(path)
    except PermissionError:
        raise
    except OSError:
        return None
    return status.st_dev, status.st_ino
