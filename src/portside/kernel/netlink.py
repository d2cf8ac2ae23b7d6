"""The backend that asks netlink sock_diag: dumps read, decoded, and made again where sockets changed meanwhile."""

from dataclasses import replace

import numpy as np

from portside.kernel import states
from portside.kernel.backend import BackendError, Dump, DumpRequest
from portside.kernel.column_names import INFO_COLUMNS, SKMEM_COLUMNS
from portside.kernel.decoder import DecodedMessages, decode
from portside.kernel.dump_reader import DumpReader, LostError
from portside.kernel.inet_diag import Attribute
from portside.kernel.interfaces import interface_names
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable, Unavailable

FOR_ADMINISTRATORS = "the kernel tells it only to programs with CAP_NET_ADMIN"
_ATTEMPTS = 4
_CHANGED = f"the kernel's tables changed during each of {_ATTEMPTS} readings: sockets may be missing"


class NetlinkBackend:
    """All TCP sockets of a network namespace: this process's own, or another. Raises BackendError without netlink.

    ``reader`` is one that is open already, and closed with the backend.
    """

    name = "netlink"

    def __init__(self, namespace: Namespace | None = None, reader: DumpReader | None = None) -> None:
        self._namespace = namespace
        self._reader = reader or DumpReader(namespace)

    def close(self) -> None:
        """Close the netlink socket."""
        self._reader.close()

    def read(self, request: DumpRequest) -> Dump:
        """Read every socket that is requested. Raises BackendError, and NetlinkError where the kernel refuses."""
        dump = self._dump(request)
        table = _once(dump.table)
        if not request.details:
            columns = (*INFO_COLUMNS, *SKMEM_COLUMNS, "congestion")
            table = replace(table, unavailable=(*table.unavailable, Unavailable(columns, None, "not asked for")))
        table = _with_untold_marks(table)
        if table.base["interface"].any():
            table = replace(table, interfaces=interface_names(self._namespace))
        return Dump(table, (_CHANGED,) if dump.interrupted else ())

    def _dump(self, request: DumpRequest) -> DecodedMessages:
        """A dump that was not interrupted, or after several attempts one that was."""
        lost: Exception | None = None
        dump: DecodedMessages | None = None
        for _ in range(_ATTEMPTS):
            try:
                dump = decode(self._reader.read(request))
            except LostError as error:
                lost = error
                continue
            if not dump.interrupted:
                return dump
        if dump is None:
            raise BackendError("reading sockets by netlink", str(lost))
        return dump


def _with_untold_marks(table: SocketTable) -> SocketTable:
    """A table that says so where this user is not told marks: inet_diag_msg_attrs_fill in net/ipv4/inet_diag.c."""
    full = ~np.isin(
        table.base["state"], (states.TIME_WAIT, states.SYN_RECV)
    )  # of the others, no more than a stub is kept
    if not full.any() or table.messages.sizes(Attribute.MARK).any():
        return table
    return replace(table, unavailable=(*table.unavailable, Unavailable(("mark",), full, FOR_ADMINISTRATORS)))


def _once(table: SocketTable) -> SocketTable:
    """A table with each socket once, as it was dumped last.

    A socket that moves in the kernel's table meanwhile may be dumped twice.
    """
    cookies = table.column("cookie").values
    in_order = np.sort(cookies)
    if not (in_order[1:] == in_order[:-1]).any():
        return table
    order = np.argsort(cookies, kind="stable")
    again = np.flatnonzero(cookies[order[1:]] == cookies[order[:-1]])
    keep = np.ones(len(table), bool)
    keep[order[again]] = False
    return table.select(keep)
