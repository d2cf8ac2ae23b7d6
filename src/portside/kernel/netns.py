"""Opening sockets and files in another network namespace, without moving this process: see setns(2), ip-netns(8).

A network namespace is an attribute of a thread, so a new thread enters it, does the work and ends. Sockets and files of
/proc/thread-self/net stay in the namespace in which they were opened, whichever thread uses them later.
"""

import errno
import os
from collections.abc import Callable
from typing import Self, TypeVar

from portside.errors import PortsideError
from portside.procfs import PROC, process_identity

RUN = "/run/netns"
_CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703
_HINT = "write a name that `ip netns` lists, the number of a process, or the path of a namespace"

_T = TypeVar("_T")


class NamespaceError(PortsideError):
    """A network namespace that does not exist or may not be entered."""


class Namespace:
    """A network namespace by the name that ``ip netns`` knows it by, by a process that is in it, or by its file.

    A number is a process only where no namespace has that name, as in ip-link(8); what has a slash is a path, such as
    /proc/PID/ns/net or /run/docker/netns/ID. The namespace is opened once, and so stays the same when its name or
    process goes away. Raises NamespaceError.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        named = f"{RUN}/{name}"
        if name in ("", ".", "..") or "\0" in name:
            raise self._error("no namespace has this name", _HINT)
        if "/" in name:
            self._open(name, "there is no such file", _HINT)
        elif name.isascii() and name.isdigit() and not os.path.lexists(named):
            process = process_identity(f"{PROC}/{name}")  # its first thread may have ended while others go on
            folder = process.folder if process is not None else f"{PROC}/{name}"
            self._open(f"{folder}/ns/net", f"no process has the number {name}", None)
        else:
            self._open(named, "there is none of this name", _known_names())

    def close(self) -> None:
        """Close the namespace."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Callable[[], _T]) -> _T:
        """Call ``work`` inside the namespace: its result, or its exception. Raises NamespaceError too."""
        import threading  # here and below: most runs look into no other namespace, and their start need not wait

        results: list[_T] = []
        failures: list[BaseException] = []

        def inside() -> None:
            try:
                _setns(self._fd)
            except OSError as error:
                failures.append(self._error(error, "this needs root (CAP_SYS_ADMIN)"))
                return
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
                failures.append(error)

        thread = threading.Thread(target=inside, name=f"netns {self._name}")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return results[0]

    def _open(self, path: str, missing: str, hint: str | None) -> None:
        try:
            # A path may be that of anything: opening a FIFO would wait, opening a terminal could take it over.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, ProcessLookupError):
            raise self._error(missing, hint) from None
        except OSError as error:
            raise self._error(error, "this needs root, or a process of your own") from error
        if not _is_network_namespace(self._fd):
            os.close(self._fd)
            raise self._error("this is no network namespace", _HINT)

    def _error(self, why: str | BaseException, hint: str | None) -> NamespaceError:
        return NamespaceError(f"network namespace {self._name!r}", why, hint)


def _is_network_namespace(fd: int) -> bool:
    """Whether a file is a namespace, and one of networks: ioctl_ns(2)."""
    import fcntl

    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


def _known_names() -> str | None:
    try:
        names = sorted(os.listdir(RUN))
    except OSError:
        return None
    return f"there are: {', '.join(names)}" if names else None


def _setns(fd: int) -> None:
    """os.setns, which Python has from 3.12 on."""
    setns = getattr(os, "setns", None)
    if setns is not None:
        setns(fd, _CLONE_NEWNET)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno() or errno.EPERM
        raise OSError(number, os.strerror(number))
