"""The types of the API's answers about findings."""

from typing import Annotated

from msgspec import Meta, Struct

from portside.control.schema import Count, Seconds, Time
from portside.diagnosis.findings import Finding

MOST_MARKED = 1000


class FindingItem(Finding, frozen=True):
    """A finding, with the connections of this server and the sockets of its machine that are in it."""

    conns: Annotated[tuple[int, ...], Meta(description=f"numbers of open connections, {MOST_MARKED} at most")] = ()
    conns_total: Count = 0
    inodes: Annotated[tuple[int, ...], Meta(description=f"of the machine's sockets in it, {MOST_MARKED} at most")] = ()


class FindingsPage(Struct, kw_only=True):
    """The findings that are there, the most severe first."""

    items: list[FindingItem]
    total: Count
    at: Annotated[Time, Meta(description="when the machine was last looked at")]
    watched: Annotated[Seconds, Meta(description="for how long it has been watched, in seconds")]
    looks: Annotated[int, Meta(description="how many times it was looked at in that time")]
    notes: Annotated[list[str], Meta(description="what could not be looked at, in words")]
    blind: Annotated[dict[str, str], Meta(description="codes that could not be looked for, and why")]
