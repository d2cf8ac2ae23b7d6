"""The source to read from: the one that is asked for, or the best that works here."""

from collections.abc import Callable
from typing import NamedTuple

from portside.errors import UsageError
from portside.kernel.backend import BackendError, Dump, DumpRequest, Source
from portside.kernel.netns import Namespace

NAMES = ("netlink", "proc", "psutil")


class OpenBackend(NamedTuple):
    """A source that works, its first reading, and why better ones did not work."""

    source: Source
    reading: Dump
    notes: tuple[str, ...]


def open_backend(want: DumpRequest, name: str | None = None, namespace: Namespace | None = None) -> OpenBackend:
    """Open a source by its name, or the best that works, and read from it once.

    Raises UsageError for a name that is none, and BackendError where the source that is asked for, or every one, does
    not work here.
    """
    if name is not None and name not in NAMES:
        raise UsageError(f"source {name!r}", f"there are {', '.join(NAMES)}")
    failures: list[BackendError] = []
    for candidate in NAMES if name is None else (name,):
        try:
            source = _OPENERS[candidate](namespace)
            try:
                reading = source.read(want)
            except BaseException:
                source.close()
                raise
        except BackendError as error:
            failures.append(error)
            continue
        notes = tuple(f"sockets come from {candidate}: {failure}" for failure in failures)
        return OpenBackend(source, reading, (*notes, *reading.notes))
    if len(failures) == 1:
        raise failures[0]
    raise BackendError("no source of sockets works here", "; ".join(map(str, failures)))


def _netlink(namespace: Namespace | None) -> Source:
    from portside.kernel.netlink import NetlinkBackend

    return NetlinkBackend(namespace)


def _proc(namespace: Namespace | None) -> Source:
    from portside.kernel.proc_net_tcp import ProcBackend

    return ProcBackend(namespace)


def _psutil(namespace: Namespace | None) -> Source:
    from portside.kernel.psutil_backend import PsutilBackend

    return PsutilBackend(namespace)


_OPENERS: dict[str, Callable[[Namespace | None], Source]] = {"netlink": _netlink, "proc": _proc, "psutil": _psutil}
