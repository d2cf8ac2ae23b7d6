"""The order of the rows: a column and a direction. What is not known comes last either way."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.app.table_order import Order as TableOrder
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.kernel.inet_diag import IPV4
from portside.kernel.table import Mask, OwnersByKey, SocketTable, Values
from portside.tui.snapshot_diff import Part, ViewState

Order = npt.NDArray[np.intp]

SHOWN = ("proto", "recv_q", "send_q", "local", "remote", "state", "pid", "program", "age_s")
"""What a picture can be sorted by without tcp_info."""

# Columns that are called otherwise here than after --sort.
_NAMES = {"foreign": "remote", "recv-q": "recv_q", "send-q": "send_q"}


class Sort(NamedTuple):
    """By which column, and whether the largest come first."""

    column: str = "local"
    reverse: bool = False


def parse_sort(text: str) -> Sort:
    """Read ``COLUMN`` or ``-COLUMN`` of ``--sort``. Raises UsageError."""
    if text.removeprefix("-").lower() == "age":  # one look knows none, and so --once has no such column
        return Sort("age_s", text.startswith("-"))
    written = TableOrder(text)
    name = _NAMES.get(written.name, written.name)
    if name not in SHOWN and name in FILTER_COLUMNS:
        name = FILTER_COLUMNS[name].column
    return Sort(name, written.descending)


class Sorter:
    """Puts pictures in order, and does no work twice."""

    def __init__(self) -> None:
        self._short = False
        self._ranks: tuple[OwnersByKey, Values, Values] | None = None
        self._last: tuple[Sort, Values, Order] | None = None

    def order(self, view: ViewState, sort: Sort) -> Order:
        """The rows in order; equal ones by their keys, so that they stay where they are."""
        fixed = sort.column in ("proto", "local", "remote", "age_s")
        if fixed and self._last is not None and self._last[0] == sort:
            _, keys, order = self._last
            if len(keys) == len(view.keys) and (keys == view.keys).all():
                return order
        self._short = all((part.table.base["family"] == IPV4).all() for part in view.parts)
        columns = [self._keys(part, sort.column, view.at) for part in view.parts]
        values = [np.concatenate(each) for each in zip(*(values for values, _ in columns), strict=True)]
        known = np.concatenate([mask for _, mask in columns])
        order = np.lexsort((view.keys, *reversed(values)))
        if sort.reverse:
            order = order[::-1]
        if not known.all():
            order = np.concatenate([order[known[order]], order[~known[order]]])
        self._last = sort, view.keys, order
        return order

    def _keys(self, part: Part, column: str, now: float) -> tuple[list[Values], Mask]:
        """What to compare, the most important first, and where it is known."""
        table = part.table
        everywhere = np.ones(len(table), bool)
        match column:
            case "proto":
                return [table.base["family"]], everywhere
            case "local" | "remote":
                return _end(table, column, short=self._short), everywhere
            case "age_s":
                return [now - part.since], everywhere
            case "pid" | "program":
                return self._owner_ranks(table, by_pid=column == "pid")
        values, known = table.column(column)
        return [values], known

    def _owner_ranks(self, table: SocketTable, *, by_pid: bool) -> tuple[list[Values], Mask]:
        owners = table.owners
        nowhere = np.zeros(len(table), bool)
        if not owners:
            return [nowhere, nowhere], nowhere
        if self._ranks is None or self._ranks[0] is not owners:
            owner_keys = np.fromiter(owners, "u8", len(owners))
            first = [(each[0].program or "", each[0].pid) if each else ("", 0) for each in owners.values()]
            ranks = {owner: rank for rank, owner in enumerate(sorted(set(first)))}
            numbers = np.array([(ranks[owner], owner[1]) for owner in first], "i8")
            ascending = np.argsort(owner_keys)
            self._ranks = owners, owner_keys[ascending], numbers[ascending]
        _, owner_keys, numbers = self._ranks
        at = np.minimum(np.searchsorted(owner_keys, table.owner_keys), len(owner_keys) - 1)
        chosen = numbers[at, 1 if by_pid else 0]
        return [chosen, chosen], owner_keys[at] == table.owner_keys


def _end(table: SocketTable, side: str, *, short: bool) -> list[Values]:
    """An address, then the ports: IPv4 before IPv6. ``short``: IPv4 alone, which is found in half of the keys."""
    base = table.base
    halves = np.ascontiguousarray(base[side]).view(">u8").astype("u8")
    other = "remote" if side == "local" else "local"
    family = base["family"]
    ports = base[f"{side}_port"].astype("u4") << np.uint32(16) | base[f"{other}_port"]
    if short:
        return [halves[:, 0], ports]
    return [family, halves[:, 0], halves[:, 1], ports]
