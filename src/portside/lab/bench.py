"""The processes of a lab: started one after the other, watched, and ended with it."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

import msgspec

from portside.errors import PortsideError, reason_of
from portside.lab.isolation import Isolation
from portside.lab.kernel_counts import KernelCounts
from portside.lab.role import Role

READY_S = 15.0
_MOST_REPORT_BYTES = 4096
_MOST_FDS = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


class LabStopped(Exception):
    """A signal came while the condition was being made."""


class Started(NamedTuple):
    """A role that is ready: its process, and the numbers that it told."""

    pid: int
    facts: Mapping[str, int]

    @property
    def port(self) -> int:
        """The port that this role listens on, or uses."""
        return self.facts["port"]


class Bench:
    """The roles of one lab.

    ``stop_fd`` is readable from the first signal that ends the lab on. Leaving the ``with`` kills all roles: their
    sockets are such that this resets every connection. When this process is killed, the kernel kills them
    (PR_SET_PDEATHSIG). ``counts`` are the kernel's counters since the lab began, ``isolation`` its namespace, if it is
    in one of its own.
    """

    def __init__(self, code: str, isolation: Isolation, stop_fd: int) -> None:
        self.code = code
        self.isolation = isolation
        self.stop_fd = stop_fd
        self.counts = KernelCounts()
        self._names: dict[int, str] = {}  # by the descriptor of the role's reports
        self._pids: list[int] = []

    def start(self, name: str, work: Callable[..., None], *arguments: object) -> Started:
        """Start a role: ``work(role, *arguments)`` in a process called ``lab-NAME``; wait until it is ready.

        Raises PortsideError where it fails, and LabStopped after a signal.
        """
        report, told = os.pipe2(os.O_CLOEXEC)
        lab = os.getpid()
        pid = os.fork()
        if pid == 0:
            _play(name, lab, told, work, arguments)
        os.close(told)
        self._pids.append(pid)
        self._names[report] = name
        data = bytearray()
        end = time.monotonic() + READY_S
        while not data.endswith(b"\n"):
            if self._readable([report], end) is None:
                raise PortsideError(f"lab {self.code}", f"the {name} was not ready within {READY_S:.0f} seconds")
            piece = os.read(report, _MOST_REPORT_BYTES)
            if not piece:
                raise self._ended(name, data)
            data += piece
        facts = msgspec.json.decode(data, type=dict[str, int | str])
        if "failed" in facts:
            raise self._ended(name, data)
        return Started(pid, {key: value for key, value in facts.items() if isinstance(value, int)})

    def wait(self, seconds: float) -> None:
        """Wait, and watch the roles. Raises PortsideError when one of them ends, and LabStopped after a signal."""
        found = self._readable(list(self._names), time.monotonic() + seconds)
        if found is not None:
            raise self._ended(self._names[found], os.read(found, _MOST_REPORT_BYTES))

    def wait_readable(self, fd: int, end: float) -> bool:
        """Wait until a descriptor is readable, or the time ``end``; whether it is. Raises what ``wait`` does."""
        found = self._readable([fd, *self._names], end)
        if found is not None and found in self._names:
            raise self._ended(self._names[found], os.read(found, _MOST_REPORT_BYTES))
        return found is not None

    def close(self) -> None:
        """Kill the roles, and wait until they are gone."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        for fd in self._names:
            os.close(fd)
        self.counts.close()
        self._pids.clear()
        self._names.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close()

    def _readable(self, fds: list[int], end: float) -> int | None:
        """The first descriptor that is readable; None where none is until ``end``. Raises LabStopped."""
        poll = select.poll()
        for fd in (self.stop_fd, *fds):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)]
        if self.stop_fd in ready:
            raise LabStopped
        return ready[0] if ready else None

    def _ended(self, name: str, report: bytes | bytearray) -> PortsideError:
        why = "its process ended"
        with contextlib.suppress(msgspec.DecodeError):
            why = str(msgspec.json.decode(report).get("failed", why))
        return PortsideError(f"lab {self.code}", f"the {name} failed: {why}")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, a process of this number, ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before the line above
        os._exit(1)


def _play(name: str, lab: int, told: int, work: Callable[..., None], arguments: tuple[object, ...]) -> NoReturn:
    """The main function of the child process: the work of the role, until it is killed."""
    try:
        die_with_parent(lab)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"lab-{name}".encode()[:15], 0, 0, 0)
        # Of the terminal or `kill %1`: they reach the whole job and are for the lab, which ends this process.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nothing, fd)
        os.closerange(3, told)
        os.closerange(told + 1, _MOST_FDS)
        role = Role(told)
        work(role, *arguments)
        role.hold()
    except BaseException as error:  # noqa: BLE001 - told to the lab, which ends with it
        with contextlib.suppress(OSError):
            os.write(told, msgspec.json.encode({"failed": reason_of(error)}) + b"\n")  # noqa: TID251 - for the lab alone
    finally:
        os._exit(1)
