"""The backend that asks psutil: for machines that have neither netlink nor /proc/net/tcp.

psutil reports addresses, states and owners, but no queues, timers, inodes or users.
"""

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from portside.kernel import states
from portside.kernel.backend import BackendError, Dump, DumpRequest
from portside.kernel.column_names import ATTRIBUTE_COLUMNS, BASE_COLUMNS, INFO_COLUMNS, SKMEM_COLUMNS
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import BASE
from portside.kernel.models import Owner
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable, Unavailable
from portside.procfs import PROC, full_name

if TYPE_CHECKING:
    from types import ModuleType

_KNOWN = ("state", "local_port", "remote_port")
_UNKNOWN = (*(set(BASE_COLUMNS) - set(_KNOWN)), *INFO_COLUMNS, *SKMEM_COLUMNS, *ATTRIBUTE_COLUMNS)
_NOT_IN_PSUTIL = "psutil does not tell it"
_ONE_OWNER = "psutil names only one of the processes that hold a socket"
_NO_COMMAND = "psutil tells no command line of the process"
_COMMAND_LENGTH = 4096
_HIDDEN = "psutil names no process that holds it"
_MERGED = "psutil tells listeners on one port as one where it cannot name the processes that hold them"
_NO_OWNER, _HIDDEN_OWNER = 0, 1  # owner keys of sockets without a known owner: none, and one that cannot be seen
_WITHOUT_OWNER = (states.TIME_WAIT, states.SYN_RECV)
_FAMILIES = {socket.AF_INET: IPV4, socket.AF_INET6: IPV6}


class PsutilBackend:
    """The sockets of this process's own network namespace. Raises BackendError for another one, or without psutil."""

    name = "psutil"

    def __init__(self, namespace: Namespace | None = None) -> None:
        if namespace is not None:
            raise BackendError("psutil", "it cannot look into another network namespace")
        try:
            import psutil
        except ImportError as error:
            raise BackendError("psutil", error) from error
        self._psutil: ModuleType = psutil

    def close(self) -> None:
        """Do nothing: psutil keeps nothing open."""

    def read(self, request: DumpRequest) -> Dump:
        """Read every TCP socket that psutil finds. Raises BackendError where psutil may not look."""
        try:
            connections = self._psutil.net_connections("tcp")
        except (self._psutil.Error, OSError, RuntimeError) as error:
            raise BackendError("psutil", error) from error
        held: dict[tuple[Any, ...], list[Owner]] = {}
        processes: dict[int, tuple[str | None, str | None]] = {}
        for each in connections:
            # On Linux each is a socket, and listeners may share their port (SO_REUSEPORT). Elsewhere each is a
            # descriptor, and those of one socket are known by its ends alone.
            one = (each.pid, each.fd) if self._psutil.LINUX else ()
            owners = held.setdefault((each.family, each.laddr, each.raddr, each.status, *one), [])
            if each.pid is not None:
                if each.pid not in processes:
                    processes[each.pid] = self._program(each.pid), self._command(each.pid) if request.commands else None
                program, command = processes[each.pid]
                owners.append(Owner(each.pid, program, each.fd if each.fd >= 0 else None, command))
        table = _table(held)
        if request.commands:
            table = replace(table, no_commands=_NO_COMMAND)
        return Dump(table, (_ONE_OWNER, _MERGED) if (table.owner_keys == _HIDDEN_OWNER).any() else (_ONE_OWNER,))

    def _program(self, pid: int) -> str | None:
        try:
            name: str = self._psutil.Process(pid).name()
        except (self._psutil.Error, OSError):  # it ended meanwhile, or is not ours to see
            return None
        return full_name(f"{PROC}/{pid}", name) if self._psutil.LINUX else name

    def _command(self, pid: int) -> str | None:
        try:
            command = " ".join(self._psutil.Process(pid).cmdline())
        except (self._psutil.Error, OSError):
            return None
        return command[:_COMMAND_LENGTH] + "…" if len(command) > _COMMAND_LENGTH else command or None


def _table(held: dict[tuple[Any, ...], list[Owner]]) -> SocketTable:
    base = np.zeros(len(held), BASE)
    for row, (family, local, remote, status, *_) in zip(base, held, strict=True):
        row["family"] = _FAMILIES[family]
        row["state"] = states.NUMBERS.get(status, states.CLOSE)
        for side, end in (("local", local), ("remote", remote)):
            if end:
                address = socket.inet_pton(family, end[0].partition("%")[0])
                row[side][: len(address)] = np.frombuffer(address, "u1")
                row[f"{side}_port"] = end[1]
    owner_keys = np.array([_owner_key(number, owners) for number, owners in enumerate(held.values())], "i8")
    owner_keys[(owner_keys == _HIDDEN_OWNER) & np.isin(base["state"], _WITHOUT_OWNER)] = _NO_OWNER
    return SocketTable(
        base,
        message=np.zeros(len(base), "i8"),
        layout=np.full(len(base), -1, "i4"),
        unavailable=(Unavailable(_UNKNOWN, None, _NOT_IN_PSUTIL),),
        owners={_owner_key(number, owners): tuple(owners) for number, owners in enumerate(held.values()) if owners},
        own_owner_keys=owner_keys,
        hidden_owners=_HIDDEN,
    )


def _owner_key(number: int, owners: list[Owner]) -> int:
    """The key of the owners of a socket: the same in each dump where the descriptor is known."""
    if not owners:
        return _HIDDEN_OWNER
    pid, fd = owners[0].pid, owners[0].fd
    return pid << 24 | fd & 0xFFFFFF if fd is not None else _HIDDEN_OWNER + 1 + number
