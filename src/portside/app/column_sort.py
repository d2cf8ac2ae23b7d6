"""Sort keys for the rows of ``watch``: each column as numbers that numpy can sort."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from portside.app.column_text import WatchedSockets
from portside.kernel import states
from portside.kernel.address_text import Side
from portside.kernel.table import Mask, OwnersByKey, SocketTable, Values

_STATE_NAMES = [states.name_of(number) for number in range(256)]
_RANK_OF_NAME = {name: rank for rank, name in enumerate(sorted(set(_STATE_NAMES)))}
_STATE_RANKS = np.array([_RANK_OF_NAME[name] for name in _STATE_NAMES], "u1")


class SortKeys(NamedTuple):
    """Sort keys of some sockets, the most significant first, and a mask of the sockets that have them."""

    values: list[Values]
    known: Mask


class OwnerRanks:
    """The first owner of each socket as numbers, worked out once for each mapping of owners."""

    def __init__(self) -> None:
        self._ranked: tuple[OwnersByKey, Values, Values] | None = None

    def of(self, table: SocketTable) -> tuple[Values, Mask]:
        """For each socket the rank of its first program by name and that process's number, and where it has one."""
        nowhere = np.zeros(len(table), bool)
        owners = table.owners
        if not owners:
            return np.zeros((len(table), 2), "i8"), nowhere
        if self._ranked is None or self._ranked[0] is not owners:
            keys = np.fromiter(owners, "u8", len(owners))
            first = [(each[0].program or "", each[0].pid) if each else ("", 0) for each in owners.values()]
            ranks = {program: rank for rank, program in enumerate(sorted({program for program, _ in first}))}
            numbers = np.array([(ranks[program], pid) for program, pid in first], "i8")
            ascending = np.argsort(keys)
            self._ranked = owners, keys[ascending], numbers[ascending]
        _, keys, numbers = self._ranked
        at = np.minimum(np.searchsorted(keys, table.owner_keys), len(keys) - 1)
        known: Mask = keys[at] == table.owner_keys
        return np.where(known[:, np.newaxis], numbers[at], 0), known


class SortContext(NamedTuple):
    """Data and options shared by the sort keys of several tables.

    ``ipv4_only``: no table has an IPv6 socket, so shorter keys suffice. ``break_ties``: sockets with equal values are
    ordered by further values, so that a row keeps its position from one refresh to the next.
    """

    owner_ranks: OwnerRanks
    ipv4_only: bool = False
    break_ties: bool = False


SortKeysOf = Callable[[WatchedSockets, SortContext], SortKeys]


def by_number(name: str) -> SortKeysOf:
    """Compare a column of the table as a number."""

    def keys(sockets: WatchedSockets, _: SortContext) -> SortKeys:
        values, known = sockets.table.column(name)
        return SortKeys([values], known)

    return keys


def by_family(sockets: WatchedSockets, _: SortContext) -> SortKeys:
    """Compare the family: IPv4 before IPv6."""
    return SortKeys([sockets.table.base["family"]], _everywhere(sockets))


def by_state_name(sockets: WatchedSockets, _: SortContext) -> SortKeys:
    """Compare netstat's name of the state."""
    return SortKeys([_STATE_RANKS[sockets.table.base["state"]]], _everywhere(sockets))


def by_end(side: Side) -> SortKeysOf:
    """Compare the address and port of a side, IPv4 before IPv6; equal ones by the port of the other side."""
    other = "remote" if side == "local" else "local"

    def keys(sockets: WatchedSockets, context: SortContext) -> SortKeys:
        base = sockets.table.base
        halves = np.ascontiguousarray(base[side]).view(">u8").astype("u8")
        address = [halves[:, 0]] if context.ipv4_only else [base["family"], halves[:, 0], halves[:, 1]]
        port = base[f"{side}_port"].astype("u4")
        if context.break_ties:
            port = port << np.uint32(16) | base[f"{other}_port"]
        return SortKeys([*address, port], _everywhere(sockets))

    return keys


def by_program(sockets: WatchedSockets, context: SortContext) -> SortKeys:
    """Compare the name of the first process that holds a socket; equal names by the number of the process."""
    ranks, known = context.owner_ranks.of(sockets.table)
    return SortKeys([ranks[:, 0], ranks[:, 1]] if context.break_ties else [ranks[:, 0]], known)


def by_pid(sockets: WatchedSockets, context: SortContext) -> SortKeys:
    """Compare the number of the first process that holds a socket."""
    ranks, known = context.owner_ranks.of(sockets.table)
    return SortKeys([ranks[:, 1]], known)


def by_age(sockets: WatchedSockets, _: SortContext) -> SortKeys:
    """Compare how long each socket has been seen."""
    if sockets.age_s is None:
        nowhere = np.zeros(len(sockets.table), bool)
        return SortKeys([nowhere], nowhere)
    return SortKeys([sockets.age_s], _everywhere(sockets))


def _everywhere(sockets: WatchedSockets) -> Mask:
    return np.ones(len(sockets.table), bool)
