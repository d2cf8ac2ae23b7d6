"""The choice of a backend: the requested one, or the best one that works on this machine."""

from collections.abc import Callable
from typing import NamedTuple

from portside.errors import UsageError
from portside.kernel.backend import Backend, BackendError, Dump, DumpRequest
from portside.kernel.dump_reader import DumpReader
from portside.kernel.netns import Namespace

NAMES = ("netlink", "proc", "psutil")


class OpenBackend(NamedTuple):
    """A backend that works, its first dump, and notes on why better backends did not work."""

    backend: Backend
    dump: Dump
    notes: tuple[str, ...]


def open_backend(
    request: DumpRequest,
    name: str | None = None,
    namespace: Namespace | None = None,
    reader: DumpReader | None = None,
) -> OpenBackend:
    """Open a backend by its name, or the best that works, and read from it once.

    ``reader`` is one that is open already, for netlink.
    Raises UsageError for a name that is none, and BackendError where the backend that is asked for, or every one,
    does not work here.
    """
    if name is not None and name not in NAMES:
        raise UsageError(f"source {name!r}", f"there are {', '.join(NAMES)}")
    failures: list[BackendError] = []
    for candidate in NAMES if name is None else (name,):
        try:
            backend = _OPENERS[candidate](namespace, reader)
            try:
                dump = backend.read(request)
            except BaseException:
                backend.close()
                raise
        except BackendError as error:
            failures.append(error)
            _log_failure(candidate, error)
            continue
        notes = tuple(f"sockets come from {candidate}: {failure}" for failure in failures)
        return OpenBackend(backend, dump, (*notes, *dump.notes))
    if len(failures) == 1:
        raise failures[0]
    raise BackendError("no source of sockets works here", "; ".join(map(str, failures)))


def _log_failure(name: str, error: BackendError) -> None:
    import logging  # nothing else here needs it, and it costs milliseconds of the start

    logging.getLogger("portside.kernel.backend").info("%s does not work here: %s", name, error)


def _netlink(namespace: Namespace | None, reader: DumpReader | None) -> Backend:
    from portside.kernel.netlink import NetlinkBackend

    return NetlinkBackend(namespace, reader)


def _proc(namespace: Namespace | None, _reader: DumpReader | None) -> Backend:
    from portside.kernel.proc_net_tcp import ProcBackend

    return ProcBackend(namespace)


def _psutil(namespace: Namespace | None, _reader: DumpReader | None) -> Backend:
    from portside.kernel.psutil_backend import PsutilBackend

    return PsutilBackend(namespace)


_Opener = Callable[[Namespace | None, DumpReader | None], Backend]
_OPENERS: dict[str, _Opener] = {"netlink": _netlink, "proc": _proc, "psutil": _psutil}
