"""The order of the rows of ``watch``: by a column of the catalogue, or by any numeric column of the filter language."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.app.column_sort import OwnerRanks, SortContext, SortKeysOf, by_age, by_number
from portside.app.column_text import WatchedSockets
from portside.app.watch_columns import LOCAL, SORTABLE
from portside.errors import UsageError
from portside.kernel.column_names import BASE_COLUMNS
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.kernel.table import SocketTable
from portside.nearest import nearest

_COLUMNS = {name: column for column in SORTABLE for name in column.sort_names}
_SORT_KEYS = {**{column.name: column.sort_keys for column in SORTABLE}, "age_s": by_age}
_NUMBERS = {name: column.column for name, column in FILTER_COLUMNS.items() if name not in ("age", "pid")}
_NUMBERS |= {"sport": "local_port", "dport": "remote_port"}


class Sort(NamedTuple):
    """A sort order: the column to sort by, and whether the largest values come first."""

    column: str = LOCAL.name
    reverse: bool = False

    @property
    def sort_keys(self) -> SortKeysOf:
        """The function that makes the sort keys of the column."""
        return _SORT_KEYS.get(self.column) or by_number(self.column)

    @property
    def shown_by(self) -> str:
        """The name of the displayed column that shows the sorted values: ``program`` shows process numbers, too."""
        return "program" if self.column == "pid" else self.column

    @property
    def needs_details(self) -> bool:
        """Whether sorting needs tcp_info, memory or other details of each socket."""
        return self.column not in _SORT_KEYS and self.column not in BASE_COLUMNS

    @property
    def needs_owners(self) -> bool:
        """Whether sorting needs the programs that hold the sockets."""
        return self.column in ("pid", "program")


def parse_sort(text: str, *, live: bool = False) -> Sort:
    """Read ``COLUMN`` or ``-COLUMN``, the value of ``--sort``.

    ``live``: the rows have ages too, which are known only after more than one snapshot. Raises UsageError for a column
    that does not exist.
    """
    name = text.removeprefix("-").lower()
    reverse = text.startswith("-")
    if live and name == "age":
        return Sort("age_s", reverse)
    if name in _COLUMNS:
        return Sort(_COLUMNS[name].name, reverse)
    if name in _NUMBERS:
        return Sort(_NUMBERS[name], reverse)
    if near := nearest(name, (*_COLUMNS, *_NUMBERS)):
        raise UsageError("--sort", f"there is no column {name!r}", f"did you mean {near}?")
    columns = ", ".join(column.sort_names[0] for column in SORTABLE)
    more = "rtt, cwnd, retrans, bytes_sent and every other number that a filter knows (portside help filter)"
    raise UsageError("--sort", f"there is no column {name!r}", f"columns: {columns}; {more}")


def sorted_rows(table: SocketTable, sort: Sort) -> npt.NDArray[np.intp]:
    """The row numbers of a table in order. Unknown values come last either way; equal ones stay in their order."""
    values, known = sort.sort_keys(WatchedSockets(table), SortContext(OwnerRanks()))
    if sort.reverse:
        # Sorted backwards and turned round, so that equal rows are in the table's order again.
        order = (len(table) - 1 - np.lexsort([each[::-1] for each in reversed(values)]))[::-1]
    else:
        order = np.lexsort(values[::-1])
    return order if known.all() else np.concatenate([order[known[order]], order[~known[order]]])
