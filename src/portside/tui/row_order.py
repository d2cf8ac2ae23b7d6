"""The order of the rows of the live display. Unknown values come last in both directions."""

from typing import TYPE_CHECKING

import numpy as np

from portside.app.column_sort import OwnerRanks, SortContext, SortKeys
from portside.app.sort_order import Sort
from portside.kernel.inet_diag import IPV4
from portside.tui.snapshot_diff import RowNumbers, TableSection, ViewState

if TYPE_CHECKING:
    from portside.kernel.table import Values

_UNCHANGING = ("proto", "local", "remote", "age_s")
"""Columns by which two sockets are in the same order for as long as both live."""


class RowSorter:
    """Sorts the rows of each view, and reuses sort keys of the view before."""

    def __init__(self) -> None:
        self._owner_ranks = OwnerRanks()
        self._last: tuple[Sort, Values, RowNumbers] | None = None

    def order(self, view: ViewState, sort: Sort) -> RowNumbers:
        """The rows in order; equal ones by their keys, so that they stay where they are."""
        if sort.column in _UNCHANGING and self._last is not None and self._last[0] == sort:
            _, keys, order = self._last
            if len(keys) == len(view.keys) and (keys == view.keys).all():
                return order
        ipv4_only = all((section.table.base["family"] == IPV4).all() for section in view.sections)
        context = SortContext(self._owner_ranks, ipv4_only, break_ties=True)
        columns = [_sort_keys(section, sort, context, view.at) for section in view.sections]
        values = [np.concatenate(each) for each in zip(*(values for values, _ in columns), strict=True)]
        known = np.concatenate([mask for _, mask in columns])
        order = np.lexsort((view.keys, *reversed(values)))
        if sort.reverse:
            order = order[::-1]
        if not known.all():
            order = np.concatenate([order[known[order]], order[~known[order]]])
        self._last = sort, view.keys, order
        return order


def _sort_keys(section: TableSection, sort: Sort, context: SortContext, now: float) -> SortKeys:
    if sort.column == "state":  # by the kernel's number, which puts ESTABLISHED first
        values, known = section.table.column("state")
        return SortKeys([values], known)
    return sort.sort_keys(section.watched(now), context)
