"""The types of the API's requests and answers; the OpenAPI description is made from them.

A field that may be unknown is ``null``, never 0.
"""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0, description="seconds")]
Time = Annotated[str, Meta(description="UTC, as in events: 2026-11-22T12:00:01.123456Z")]


# The server.


class ListenerInfo(Struct, kw_only=True):
    """A listening socket."""

    address: str
    family: Annotated[str, Meta(description="ipv4, ipv6 or unix")]


class Counts(Struct, kw_only=True):
    """Counts since the start of the run."""

    open: Count


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
