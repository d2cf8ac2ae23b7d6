"""The types of the API's answers about connections, listeners and the sockets of this machine."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from portside.control.byte_counts import ByteCounts
from portside.control.notes import MOST_NOTE_CHARACTERS, MOST_TAG_CHARACTERS, MOST_TAGS
from portside.control.schema import Count, Seconds, Time
from portside.events import ClosedBy, CloseReason, Proxy, Tls
from portside.kernel.models import Socket

Offset = Annotated[int, Meta(ge=0, le=1 << 40, description="how many rows to leave out before the first")]
ConnectionState = Literal["open", "half_closed", "eof_sent", "closing", "closed"]
KernelValue = int | float | str | bool | None


class Process(Struct, frozen=True):
    """A process that holds a socket."""

    pid: int
    program: str | None
    command: Annotated[str | None, Meta(description="its command line")]


class ConnectionFields(Struct, kw_only=True):
    """A connection, open or closed, as the server knows it. Fields that were not asked for are not there."""

    conn: Annotated[int, Meta(ge=1)]
    peer: str | UnsetType = UNSET
    local: str | UnsetType = UNSET
    state: (
        Annotated[ConnectionState, Meta(description="half_closed: the peer sent FIN; eof_sent: we did")] | UnsetType
    ) = UNSET
    opened: Time | UnsetType = UNSET
    closed: Time | UnsetType | None = UNSET
    age: Annotated[float, Meta(description="seconds since it opened, or for which it was open")] | UnsetType = UNSET
    idle: Annotated[float | None, Meta(description="seconds since bytes last moved")] | UnsetType = UNSET
    received: Count | UnsetType = UNSET
    sent: Count | UnsetType = UNSET
    buffered: Annotated[int, Meta(description="bytes that wait in the server for the peer")] | UnsetType = UNSET
    holds: Annotated[list[str], Meta(description="why it is not read: feed, flow, fault, operator")] | UnsetType = UNSET
    write_paused: bool | UnsetType = UNSET
    tls: Tls | UnsetType | None = UNSET
    sni: str | UnsetType | None = UNSET
    alpn: str | UnsetType | None = UNSET
    proxy: Proxy | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET
    tags: list[str] | UnsetType = UNSET
    faults: Annotated[int, Meta(description="how many it has")] | UnsetType = UNSET
    reason: CloseReason | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    by: ClosedBy | UnsetType | None = UNSET
    owners: (
        Annotated[list[Process] | None, Meta(description="processes at the other end, if on this machine")] | UnsetType
    ) = UNSET


class ConnectionItem(ConnectionFields, kw_only=True):
    """A connection in a list."""

    kernel: Annotated[dict[str, KernelValue], Meta(description="columns of the socket table")] | UnsetType = UNSET


class Totals(Struct, kw_only=True):
    """Sums over all rows that the filter leaves, in bytes; null where none is known."""

    received: Count
    sent: Count
    recv_q: Count | None
    send_q: Count | None


class ConnectionPage(Struct, kw_only=True):
    """A page of connections. ``next`` is the ``after`` of the following one; null on the last."""

    items: list[ConnectionItem]
    total: Annotated[int, Meta(description="how many the filter leaves")]
    totals: Totals
    next: str | None


class ConnectionDetails(ConnectionFields, kw_only=True):
    """One connection with the kernel's sockets of both ends, and where its bytes are."""

    kernel: Socket | None = None
    peer_socket: Annotated[Socket | None, Meta(description="the other end, if on this machine")] = None
    bytes: ByteCounts | None = None
    gaps: Annotated[dict[str, str], Meta(description="why a field is null")] = {}


class NoteChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A note or tags to set; what is not given stays as it is."""

    note: Annotated[str, Meta(max_length=MOST_NOTE_CHARACTERS)] | None = None
    tags: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=MOST_TAG_CHARACTERS)]], Meta(max_length=MOST_TAGS)]
        | None
    ) = None


class HistoryTable(Struct, kw_only=True):
    """Rows in the order of time, each with a value for each column; the first is ``at``."""

    columns: list[str]
    rows: list[list[KernelValue]]


class ConnectionHistory(HistoryTable, kw_only=True):
    """The kernel's facts of a connection over time."""

    conn: int


class ListenerFacts(Struct, kw_only=True):
    """A listener as the kernel sees it. ``history`` is there where ``since`` was given."""

    address: str
    accept_queue: Annotated[int | None, Meta(description="connections that wait for accept()")]
    accept_queue_limit: int | None
    drops: Annotated[int | None, Meta(description="connections for which the queue had no room")]
    history: HistoryTable | UnsetType = UNSET


class ListenerPage(Struct, kw_only=True):
    """All listeners of the server."""

    items: list[ListenerFacts]


class SocketTotals(Struct, kw_only=True):
    """Sums over all connections that the filter leaves, listeners left out, in bytes; null where none is known."""

    recv_q: Count | None
    send_q: Count | None


class SocketPage(Struct, kw_only=True):
    """A page of this machine's sockets, each as ``watch --json`` writes it."""

    items: list[Socket]
    total: Count
    totals: SocketTotals
    next: str | None
    source: str
    notes: list[str]
    age: Seconds
