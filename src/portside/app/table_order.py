"""The order of a table's rows: by any of its columns, or by any number that a filter can name."""

from typing import Any

import numpy as np
import numpy.typing as npt

from portside.errors import UsageError
from portside.kernel import states
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.kernel.table import BASE_COLUMNS, SocketTable

_SPELLINGS = {
    "recv_q": "recv-q", "recvq": "recv-q", "send_q": "send-q", "sendq": "send-q", "peer": "foreign",
    "remote": "foreign", "foreign address": "foreign", "local address": "local", "pid/program": "pid",
    "src": "local", "dst": "foreign", "sport": "local_port", "dport": "remote_port",
}  # fmt: skip
_SHOWN = ("proto", "recv-q", "send-q", "local", "foreign", "state", "pid", "program")
_WITHOUT_COLUMN = ("age", "pid")
_NUMBERS = {name: column.column for name, column in FILTER_COLUMNS.items() if name not in _WITHOUT_COLUMN}


class Order:
    """A column to sort by, as it is written: ``recv-q``, or ``-rtt`` for the largest first.

    Raises UsageError where there is no such column.
    """

    def __init__(self, text: str) -> None:
        name = text.removeprefix("-").lower()
        self.descending = text.startswith("-")
        self.name = _SPELLINGS.get(name, name)
        if self.name not in _SHOWN and self.name not in _NUMBERS:
            more = "rtt, cwnd, retrans, bytes_sent and every other number that a filter knows (docs/filter.md)"
            raise UsageError("--sort", f"there is no column {name!r}", f"columns: {', '.join(_SHOWN)}; {more}")

    @property
    def needs_details(self) -> bool:
        """Whether it takes tcp_info and the like."""
        return self.name not in _SHOWN and _NUMBERS[self.name] not in BASE_COLUMNS

    @property
    def needs_owners(self) -> bool:
        """Whether it takes the programs."""
        return self.name in ("pid", "program")

    def of(self, table: SocketTable) -> npt.NDArray[np.int64]:
        """The numbers of a table's rows in this order; what is not known comes last either way."""
        values, unknown = _values(table, self.name)
        _, ranks = np.unique(values, return_inverse=True)
        ranks = ranks.reshape(-1)
        return np.lexsort((-ranks if self.descending else ranks, unknown))


def _values(table: SocketTable, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """What is compared, and where it is not known."""
    nowhere = np.zeros(len(table), bool)
    match name:
        case "proto":
            return table.base["family"], nowhere
        case "local" | "foreign":
            return _ends(table, "local" if name == "local" else "remote"), nowhere
        case "state":
            names = [states.name_of(number) for number in range(256)]
            return np.array(names)[table.base["state"]], nowhere
        case "pid" | "program":
            return _owners(table, name)
    column = table.column("recv_q" if name == "recv-q" else "send_q" if name == "send-q" else _NUMBERS[name])
    return column.values, ~column.known


def _ends(table: SocketTable, side: str) -> npt.NDArray[Any]:
    """Family, address and port as bytes, which compare as they should."""
    keys = np.zeros((len(table), 19), "u1")
    keys[:, 0] = table.base["family"]
    keys[:, 1:17] = table.base[side]
    ports = table.base[f"{side}_port"].astype("u2")
    keys[:, 17], keys[:, 18] = ports >> 8, ports & 255
    return keys.view("S19").reshape(-1)


def _owners(table: SocketTable, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The lowest process number, or the name of that process, of each socket."""
    owners = table.owners or {}
    first = [owners.get(holder, (None,))[0] if holder else None for holder in table.owner_keys.tolist()]
    unknown = np.array([owner is None for owner in first], bool)
    if name == "pid":
        return np.array([owner.pid if owner else 0 for owner in first], "i8"), unknown
    return np.array([(owner.program or "") if owner else "" for owner in first], "U"), unknown
