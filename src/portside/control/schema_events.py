"""The types of requests and answers about events and messages."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from portside.control.schema import Count, Time

Payload = Literal["none", "head", "all"]
PayloadParameter = Annotated[
    Payload, Meta(description="none: sizes alone; head: the first 256 bytes, with cut where there are more; all")
]


class EventsQuery(Struct, kw_only=True):
    """Which events a stream brings."""

    filter: Annotated[
        str, Meta(description="in the filter language: `conn = 7 and not event = sent`", max_length=10_000)
    ] = ""
    payload: PayloadParameter = "all"
    after: Annotated[
        Count | None,
        Meta(description="the seq of the last event that is known; 0: all that is held; else from now on"),
    ] = None


class HeldEventsQuery(EventsQuery, kw_only=True):
    """The events of a stream over plain HTTP."""

    follow: Annotated[bool, Meta(description="false: ends after what is held")] = True


class MessagesQuery(Struct, kw_only=True):
    """Which messages of a connection: by default the newest."""

    after: Annotated[str | None, Meta(description="`next` of an earlier answer, or a seq: the oldest after it")] = None
    before: Annotated[Count | None, Meta(description="a seq: the newest before it")] = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    payload: PayloadParameter = "all"
    contains: Annotated[
        str | None, Meta(description="only messages with this in them, as TEXT is written: `hello\\n`, `\\x00\\xff`")
    ] = None


class Message(Struct, kw_only=True, omit_defaults=True):
    """Bytes as they were read or written at a time. ``in`` came from the peer, ``out`` went to it."""

    seq: Annotated[int, Meta(ge=1)]
    at: Time
    direction: Literal["in", "out"]
    size: Annotated[Count, Meta(description="bytes, of which `payload` may leave some out")]
    text: Annotated[str | None, Meta(description="the payload where it is valid UTF-8")] = None
    base64: Annotated[str | None, Meta(description="the payload where it is not")] = None
    cut: Annotated[bool, Meta(description="there is more payload than `payload=head` shows")] = False


class MessagePage(Struct, kw_only=True):
    """Messages of a connection, the oldest first."""

    items: list[Message]
    missed: Annotated[Count, Meta(description="messages that were asked for, before these, and are held no longer")]
    next: Annotated[str, Meta(description="for `after`, to go on after these")]
