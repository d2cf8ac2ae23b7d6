"""The types of the requests and answers of acts."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from portside.control.schema import Count, Time

How = Literal["fin", "half", "reset"]
AccessKind = Literal["allow", "deny"]
MOST_SPEC_CHARACTERS = 200
_Spec = Annotated[str, Meta(min_length=1, max_length=MOST_SPEC_CHARACTERS, description="as in `listen --fault`")]
_Rate = Annotated[str, Meta(min_length=1, max_length=40, description="bytes a second, as 10k/s")]
_Net = Annotated[str, Meta(min_length=1, max_length=100, description="an address or a network, as 10.0.0.0/8")]
_Duration = Annotated[str, Meta(max_length=40, description="as 30s, 5m")]
_Conn = Annotated[int, Meta(ge=1)]
_FaultId = Annotated[int, Meta(ge=1, description="counts from 1 on each connection")]


class FaultPath(Struct):
    """One fault of a connection."""

    conn: _Conn
    fault: _FaultId


class Bytes(Struct, kw_only=True, forbid_unknown_fields=True):
    """Bytes to be sent: one of the three."""

    text: Annotated[str, Meta(description="sent as UTF-8, with nothing added")] | None = None
    hex: Annotated[str, Meta(description="two digits a byte; spaces between bytes do not matter")] | None = None
    base64: str | None = None


class SentBytes(Struct, kw_only=True):
    """The bytes that were sent to a client."""

    conn: int
    sent: Annotated[Count, Meta(description="bytes")]
    buffered: Annotated[Count, Meta(description="bytes that wait for the client in the server, these among them")]


class CloseRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a connection is to be closed."""

    how: Annotated[How, Meta(description="in order after what is buffered; our direction alone; at once with RST")] = (
        "fin"
    )


class CloseDone(Struct, kw_only=True):
    """A connection that is closed, or is as soon as the client has taken what is buffered for it."""

    conn: int
    how: How
    buffered: Annotated[Count, Meta(description="bytes that go out before it")]


class ReadingDone(Struct, kw_only=True):
    """Whether an operator keeps a client from being read; ``changed`` says whether that is new."""

    conn: int
    paused: bool
    changed: bool


class ThrottleRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The rate of both directions of a connection."""

    rate: _Rate


class Throttle(Struct, kw_only=True):
    """The rate of a connection, null for none; ``fault`` is its number among the connection's faults."""

    conn: int
    rate: str | None
    fault: int | None


class FaultRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault to be put on an open connection."""

    spec: _Spec


class FaultInfo(Struct, kw_only=True):
    """A fault of a connection."""

    id: _FaultId
    spec: str
    leg: Literal["client", "upstream"]
    by: Annotated[str | None, Meta(description="who put it there; null for --fault")]
    since: Time
    throttle: bool
    phase: Literal["pending", "active", "over"]
    held: Annotated[Count, Meta(description="bytes that it keeps back")]


class FaultList(Struct, kw_only=True):
    """The faults of a connection, in the order in which they came."""

    conn: int
    items: list[FaultInfo]


class FaultRemoved(Struct, kw_only=True):
    """A fault that was taken out, with the bytes that it kept back until then: they have passed on."""

    conn: int
    id: _FaultId
    spec: str
    held: Count


class BroadcastDone(Struct, kw_only=True):
    """Whom a broadcast was sent to; of the others, up to 100 numbers are named."""

    sent: Annotated[Count, Meta(description="clients")]
    skipped: Annotated[Count, Meta(description="clients that it was not sent to")]
    full: Annotated[list[int], Meta(description="those whose write buffer is full")]
    ended: Annotated[list[int], Meta(description="those to whom this side sends no more, or that it closes")]


class DrainRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long clients have to leave; without it as long as ``--drain`` says or, without that, as they like."""

    within: _Duration | None = None


class DrainDone(Struct, kw_only=True):
    """A run that ends with its last client."""

    waiting: Annotated[Count, Meta(description="clients that are connected")]
    within: Annotated[float | None, Meta(description="seconds; null is without a limit")]


class LimitValues(Struct, kw_only=True):
    """The limits that can be changed; null is no limit, times are in seconds."""

    max_conns: int | None
    max_conns_per_ip: int | None
    idle_timeout: float | None
    half_close_timeout: float | None


class LimitChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Limits to be changed: numbers, text as in the options, or null for no limit. What is left out stays."""

    max_conns: int | str | UnsetType | None = UNSET
    max_conns_per_ip: int | str | UnsetType | None = UNSET
    idle_timeout: int | float | str | UnsetType | None = UNSET
    half_close_timeout: int | float | str | UnsetType | None = UNSET


class AccessChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A network to be put on a list."""

    list: AccessKind
    net: _Net


class AccessLists(Struct, kw_only=True):
    """The lists of who may connect, up to 1000 networks of each; ``allow`` is null where any may that is not denied."""

    allow: list[str] | None
    allow_total: Count
    deny: list[str]
    deny_total: Count
