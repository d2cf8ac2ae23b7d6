"""Rows of a table put together by their subject, so that one condition is one finding however many sockets have it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address

import numpy as np

from portside.diagnosis.findings import Subject
from portside.diagnosis.observation import Holder, Holders, RowNumbers, Values
from portside.diagnosis.view import Numbers, View, mix, mix_address

MOST_GROUPS = 200
"""Subjects of one rule in one observation; those with the most sockets come first."""


class By(Enum):
    """How rows are grouped.

    ``PROGRAM``: by the program and its service: for a server that is the program's name and its local port, so that
    a server with a process for each client is one; for a client the process and the remote end.
    ``LISTENER``: each listening socket alone. ``SOCKET``: each alone. ``PORT``: listeners by address and port.
    ``HOST``: by the remote address. ``ROUTE``: by local address, remote address and remote port.
    """

    PROGRAM = "program"
    LISTENER = "listener"
    SOCKET = "socket"
    PORT = "port"
    HOST = "host"
    ROUTE = "route"


@dataclass(frozen=True, slots=True, eq=False)
class SubjectGroup:
    """Sockets of one subject. ``processes`` is how many processes hold them, 0 where none is known."""

    view: View
    rows: RowNumbers
    subject: Subject
    processes: int = 0
    unseen: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def numbers(self, name: str) -> Numbers:
        """A column of these sockets, NaN where it is not known."""
        return self.view.numbers(name)[self.rows]

    def growth(self, name: str) -> Numbers:
        """The growth of a counter of these sockets within the window."""
        return self.view.growth(name)[self.rows]

    def held(self, name: str) -> Numbers:
        """For how long these sockets have had the condition of ``View.held_s``."""
        return self.view.held(name)[self.rows]

    def total(self, name: str) -> float:
        """The growth of a counter of all these sockets together."""
        return float(np.nansum(self.growth(name)))

    def sum(self, name: str) -> float:
        """The sum of a column of these sockets, of those for which it is known."""
        return float(np.nansum(self.numbers(name)))

    def largest(self, name: str) -> float:
        """The largest value of a column of these sockets; 0 where none is known."""
        return float(np.nanmax(self.numbers(name), initial=0.0))

    @property
    def program(self) -> str:
        """The program, for the beginning of a sentence."""
        return self.subject.program or (f"Process {self.subject.pid}" if self.subject.pid else "The program")

    @property
    def end(self) -> str:
        """The end that stands for the subject: its local one, or the peer."""
        return self.subject.local or self.subject.remote or "this machine"


def groups(view: View, by: By, rows: RowNumbers, holders: Holders, places: RowNumbers) -> Iterator[SubjectGroup]:
    """The rows by their subject, the largest groups first, at most ``MOST_GROUPS``.

    ``places`` says where each row stands in ``holders``.
    """
    found = [holders.by_row[place] for place in places.tolist()]
    pids = np.array([each[0].pid if each else 0 for each in found], "u8")
    keys = _keys(view, by, rows, found, pids)
    _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    for group in np.argsort(-counts, kind="stable")[:MOST_GROUPS].tolist():
        members = order[starts[group] : starts[group + 1]]
        held, _ = np.unique(pids[members][pids[members] > 0], return_counts=True)  # or numpy.ma would be loaded
        lowest = found[int(members[np.argmax(pids[members] == held[0])])] if len(held) else None
        is_hidden = bool(holders.hidden) and any(found[place] is None for place in members.tolist())
        yield _group(view, by, rows[members], (lowest[0] if lowest else None, len(held)), holders.hidden * is_hidden)


def _keys(view: View, by: By, rows: RowNumbers, found: Sequence[tuple[Holder, ...] | None], pids: Values) -> Values:
    keys = np.zeros(len(rows), "u8")
    local_port, remote_port = (view.column(f"{side}_port")[0][rows].astype("u8") for side in ("local", "remote"))
    match by:
        case By.SOCKET | By.LISTENER:
            return np.arange(len(rows)).astype("u8")
        case By.PORT:
            return mix(mix_address(keys, view.column("local")[0][rows]), local_port)
        case By.HOST:
            return mix_address(keys, view.column("remote")[0][rows])
        case By.ROUTE:
            keys = mix_address(keys, view.column("local")[0][rows])
            return mix(mix_address(keys, view.column("remote")[0][rows]), remote_port)
        case _:
            is_served = view.served[rows]
            client = mix(mix_address(mix(keys, pids), view.column("remote")[0][rows]), remote_port)
            return np.where(is_served, mix(mix(keys, _programs(found, pids)), local_port), client)


def _programs(found: Sequence[tuple[Holder, ...] | None], pids: Values) -> Values:
    """A number for the program of each row: the same for all processes of one name; the process where it has none."""
    numbers: dict[str, int] = {}
    named = [each[0].program if each else None for each in found]
    return np.array(
        [pid if name is None else numbers.setdefault(name, len(numbers)) | 1 << 32
         for pid, name in zip(pids.tolist(), named, strict=True)], "u8",
    )  # fmt: skip


def _group(view: View, by: By, rows: RowNumbers, holder: tuple[Holder | None, int], hidden: str) -> SubjectGroup:
    """A group of rows; ``holder`` is the first process that holds any of them, and how many do."""
    first, processes = holder
    pid, program = (first.pid, first.program) if first else (None, None)
    unseen = (f"the program: {hidden}",) if hidden else ()
    row = int(rows[0])
    match by:
        case By.PROGRAM if view.served[row]:
            subject = Subject("program", pid, program, local=_common_end(view, rows))
        case By.PROGRAM:
            subject = Subject("program", pid, program, remote=end_text(view, row, "remote"))
        case By.LISTENER | By.PORT:
            subject = Subject("listener", pid, program, local=end_text(view, row, "local"))
        case By.SOCKET:
            subject = Subject("socket", pid, program, end_text(view, row, "local"), end_text(view, row, "remote"))
        case By.HOST:
            subject = Subject("peer", remote=host_text(view, row, "remote"))
        case _:
            local, remote = host_text(view, row, "local"), end_text(view, row, "remote")
            subject = Subject("peer", pid, program, local=local, remote=remote)
    return SubjectGroup(view, rows, subject, processes, unseen)


def _common_end(view: View, rows: RowNumbers) -> str:
    """The local end of sockets with one port; ``*`` for the address where they have several."""
    addresses = view.column("local")[0][rows]
    if (addresses == addresses[:1]).all():
        return end_text(view, int(rows[0]), "local")
    return f"*:{view.column('local_port')[0][rows[0]]}"


def end_text(view: View, row: int, side: str) -> str:
    """One end of a socket: ``127.0.0.1:12345`` or ``[::1]:12345``."""
    return f"{host_text(view, row, side)}:{view.column(f'{side}_port')[0][row]}"


def host_text(view: View, row: int, side: str) -> str:
    """The address of one end of a socket as text: ``127.0.0.1`` or ``[::1]``."""
    return address_text(bytes(view.column(side)[0][row]))


def address_text(address: bytes) -> str:
    """An address of 16 bytes as text; one of IPv4, which is mapped into IPv6, as IPv4."""
    found = IPv6Address(address)
    return str(found.ipv4_mapped or f"[{found}]")
