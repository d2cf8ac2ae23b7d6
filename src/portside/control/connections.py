"""Lists of connections: filtered, sorted, a page at a time, cut to the fields that were asked for.

``Plan`` reads a request, which may look names up and so blocks; ``list_connections`` answers it from columns. Both run
on a thread of their own.
"""

from typing import Any, Literal

import numpy as np

from portside.control.connection_columns import VOCABULARY, ConnectionRows, needs_facts, needs_owners
from portside.control.connection_items import OWN_FIELDS, Clock, make_item
from portside.control.connection_order import ConnectionSort
from portside.control.paging import page_of
from portside.control.schema_connections import ConnectionPage, KernelValue, Process, Totals
from portside.errors import InvalidValue
from portside.kernel import states
from portside.kernel.column_names import COLUMNS
from portside.kernel.filter import parse
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.kernel.models import Owner
from portside.kernel.resolver import SystemResolver
from portside.kernel.table import Mask
from portside.nearest import nearest

Which = Literal["open", "closed", "all"]
KERNEL_FIELDS = (
    "state", "recv_q", "send_q", "notsent_bytes", "rtt_us", "cwnd", "retrans_total", "snd_wnd", "rcv_wnd",
    "busy_us", "rwnd_limited_us", "sndbuf_limited_us",
)  # fmt: skip
"""What ``kernel`` stands for among the fields."""

_SAME_FIELDS = {"tag": "tags", "hold": "holds", "pid": "owners", "program": "owners"}  # names of columns of the filter


class Plan:
    """A request for a list, read. Raises FilterError, and InvalidValue for a column or a field that does not exist."""

    def __init__(self, *, filter_text: str, sort: str, fields: str | None, which: Which) -> None:
        self.tree = parse(filter_text, SystemResolver(), VOCABULARY)
        self.sort = ConnectionSort(sort)
        self.which = which
        self.fields, self.kernel_fields = parse_fields(fields)
        self.needs_owners = needs_owners(self.tree) or self.sort.needs_owners or "owners" in self.fields
        self.needs_facts = (
            self.needs_owners or needs_facts(self.tree) or self.sort.needs_facts or bool(self.kernel_fields)
        )


def parse_fields(text: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a list, and the columns of the socket table for ``kernel``. Raises InvalidValue."""
    if text is None:
        return OWN_FIELDS, ()
    own: list[str] = []
    kernel: list[str] = []
    for given in (each.strip() for each in text.split(",") if each.strip()):
        name, column = _SAME_FIELDS.get(given, given), given.removeprefix("kernel.")
        if name in OWN_FIELDS or name == "owners":
            own.append(name)
        elif name == "kernel":
            kernel += KERNEL_FIELDS
        elif column in COLUMNS:
            kernel.append(column)
        elif column in FILTER_COLUMNS and FILTER_COLUMNS[column].column in COLUMNS:
            kernel.append(FILTER_COLUMNS[column].column)
        else:
            near = nearest(name, (*OWN_FIELDS, "owners", "kernel", *COLUMNS))
            raise InvalidValue(f"there is no field {name!r}" + (f": did you mean {near}?" if near else ""))
    return tuple(dict.fromkeys(("conn", *own))), tuple(dict.fromkeys(kernel))


def list_connections(
    plan: Plan, rows: ConnectionRows, clock: Clock, limit: int, after: str | None, *, offset: int = 0
) -> ConnectionPage:
    """The page of a list. Raises CursorError."""
    which = rows.matching(plan.tree)
    page = page_of(which, plan.sort.order(rows), limit, after, offset)
    items = [make_item(rows, rows.row(place), plan.fields, clock) for place in page.rows.tolist()]
    if plan.kernel_fields:
        for item, values in zip(items, _kernel_values(rows, page.rows, plan.kernel_fields), strict=True):
            item.kernel = values
    if "owners" in plan.fields:
        for item, owners in zip(items, rows.owners(page.rows), strict=True):
            item.owners = None if owners is None else _processes(owners)
    return ConnectionPage(items=items, total=int(which.sum()), totals=_totals(rows, which), next=page.after)


def _processes(owners: tuple[Owner, ...]) -> list[Process]:
    """Each process once, though it may hold a socket with several descriptors."""
    return list({owner.pid: Process(owner.pid, owner.program, owner.command) for owner in owners}.values())


def _totals(rows: ConnectionRows, which: Mask) -> Totals:
    received, sent = (int(rows.number(name).values[which].sum()) for name in ("received", "sent"))
    queues: list[int | None] = []
    for name in ("recv_q", "send_q"):
        values, known = rows.number(name)
        known = known & which
        queues.append(int(values[known].sum(dtype="u8")) if known.any() or not which.any() else None)
    return Totals(received=received, sent=sent, recv_q=queues[0], send_q=queues[1])


def _kernel_values(
    rows: ConnectionRows, places: np.ndarray[Any, Any], names: tuple[str, ...]
) -> list[dict[str, KernelValue]]:
    """For each of some rows the values of columns of the socket table, None where one is not known."""
    found: list[dict[str, KernelValue]] = [dict.fromkeys(names) for _ in places]
    table, there = rows.facts.table, rows.places[places]
    if table is None or not len(there):
        return found
    known_rows = np.flatnonzero(there >= 0)
    table = table.select(there[known_rows])
    for name in names:
        values, known = table.column(name)
        for row, value, is_known in zip(known_rows.tolist(), values.tolist(), known.tolist(), strict=True):
            if is_known:
                found[row][name] = _shown(name, value)
    return found


def _shown(name: str, value: Any) -> KernelValue:
    if name == "state":
        return states.name_of(value)
    shown: KernelValue = value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else value
    return shown
