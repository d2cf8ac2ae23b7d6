"""The orders of a list of connections: by a column of the filter, by an end, or by a time."""

import numpy as np

from portside.control.connection_columns import TEXTS, VOCABULARY, ConnectionRows
from portside.control.paging import PageKeys, RowOrder, word_keys
from portside.errors import InvalidValue
from portside.kernel import states
from portside.nearest import nearest

_ENDS = {"peer": "remote", "remote": "remote", "dst": "remote", "local": "local", "src": "local"}
_TIMES = ("opened", "closed")
_OWNERS = ("pid", "program")
_OTHERS = ("state", "tags", "holds", *_TIMES, *_OWNERS)
_SAME = {"tags": "tag", "holds": "hold"}
NAMES = frozenset((*VOCABULARY.numbers, *TEXTS, *_ENDS, *_OTHERS))
"""What a list can be sorted by."""


class ConnectionSort:
    """An order that was asked for: ``COLUMN`` or ``-COLUMN``. Raises InvalidValue for a column that does not exist."""

    def __init__(self, text: str) -> None:
        self.name = text.removeprefix("-").lower()
        self.reverse = text.startswith("-")
        if self.name not in NAMES:
            near = nearest(self.name, NAMES)
            raise InvalidValue(f"there is no column {self.name!r}" + (f": did you mean {near}?" if near else ""))
        self.name = _SAME.get(self.name, self.name)
        column = VOCABULARY.numbers.get(self.name)
        self._column = column.column if column is not None else self.name
        own = (*TEXTS, *_ENDS, *_TIMES, *_OWNERS, "conn", "received", "sent", "buffered", "idle", "age", "faults")
        self.needs_owners = self.name in _OWNERS
        self.needs_facts = self.name not in own or self.needs_owners

    def order(self, rows: ConnectionRows) -> RowOrder:
        """The order of some rows."""
        return RowOrder(self.name, self._keys(rows), rows.numbers, self.reverse, rows.now)

    def _keys(self, rows: ConnectionRows) -> PageKeys:
        if self.name in _ENDS:
            return _end_keys(rows, _ENDS[self.name])
        if self.name in TEXTS:
            return word_keys([next(iter(texts), None) for texts in rows.texts(self.name)])
        if self.name == "state":
            numbers, is_known = rows.number("state")
            names = [states.name_of(each) for each in numbers.tolist()]
            return word_keys([name if there else None for name, there in zip(names, is_known.tolist(), strict=True)])
        if self.name in _OWNERS:
            return _owner_keys(rows, self.name)
        values, is_known = rows.number(self._column)
        return PageKeys([values.astype("f8")], is_known)


def _end_keys(rows: ConnectionRows, side: str) -> PageKeys:
    base = getattr(rows.ends, side)
    halves = np.ascontiguousarray(base[side]).view(">u8").astype("u8")
    keys = [base["family"], halves[:, 0], halves[:, 1], base[f"{side}_port"].astype("u4")]
    return PageKeys(keys, np.ones(len(rows), bool))


def _owner_keys(rows: ConnectionRows, name: str) -> PageKeys:
    """The first process at the other end, by its name or its number."""
    owners = [of[0] if of else None for of in rows.owners()]
    if name == "program":
        return word_keys([owner.program if owner is not None else None for owner in owners])
    numbers = np.array([owner.pid if owner is not None else 0 for owner in owners], "f8")
    return PageKeys([numbers], numbers > 0)
