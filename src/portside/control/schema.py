"""The types of the API's requests and answers; the OpenAPI description is made from them.

A field that may be unknown is ``null``, never 0.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0, description="seconds")]
Time = Annotated[str, Meta(description="UTC, as in events: 2026-11-22T12:00:01.123456Z")]


class ConnPath(Struct):
    """The path of a connection: its number."""

    conn: Annotated[int, Meta(ge=1, description="the number of the connection")]


# The server.


class ListenerInfo(Struct, kw_only=True):
    """A listening socket. The queue holds the clients that the kernel has accepted and the server has not."""

    address: str
    family: Literal["ipv4", "ipv6", "unix"]
    accept_queue: Count | None
    accept_queue_limit: Count | None
    drops: Annotated[Count | None, Meta(description="clients for whom the queue had no room")]


class Counts(Struct, kw_only=True):
    """Counts since the start of the run; ``open`` is how many are connected now. Bytes are those of all clients."""

    open: Count
    opened: Count
    closed: dict[str, Count]
    refused: dict[str, Count]
    received: Count
    sent: Count


class RateInfo(Struct, kw_only=True):
    """Counts a second, in the last second that was measured; null until a console has looked for a second."""

    opened: float | None
    closed: float | None
    received: float | None
    sent: float | None


class ServerInfo(Struct, kw_only=True):
    """A running server."""

    pid: Annotated[int, Meta(ge=1)]
    version: str
    node: Annotated[str, Meta(description="the name of the machine")]
    started: Time
    uptime: Seconds
    listeners: list[ListenerInfo]
    options: Annotated[dict[str, str | bool | int | float | list[str]], Meta(description="those that were given")]
    counts: Counts
    rates: RateInfo
    read_only: Annotated[bool, Meta(description="whether a page may only look (--web-read-only)")]
