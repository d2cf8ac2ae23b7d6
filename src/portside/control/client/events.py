"""Events out of the objects that the API writes."""

import base64
from typing import Any, ClassVar

import msgspec

from portside.events import Event, Received, Sent, from_json, parse_utc
from portside.json_text import encode_json

_PAYLOAD: dict[str, type[Received] | type[Sent]] = {"received": Received, "sent": Sent}


class Missed(msgspec.Struct, frozen=True):
    """Events that a stream has skipped, because they were more than could be read; ``count`` is their number."""

    event: ClassVar[str] = "missed"

    count: int


def event_or_gap(item: dict[str, Any]) -> Event | Missed | None:
    """An object of a stream as a value; None for one of a newer version. Payload that was not asked for is empty."""
    if item.get("event") == "missed":
        return Missed(item["count"])
    return event_of(item, stands_for_payload=False)


def event_of(item: dict[str, Any], *, stands_for_payload: bool = True) -> Event | None:
    """The event that the API writes as this object; None for one of a newer version.

    ``stands_for_payload``: in place of payload that was not asked for, its size is in the data.
    """
    try:
        at = parse_utc(item["at"])
        kind = _PAYLOAD.get(item["event"])
        if kind is not None:
            data = item["text"].encode() if "text" in item else base64.b64decode(item.get("base64", ""))
            if not data and stands_for_payload:
                data = b"(%d B)" % item["size"]
            return kind(at, item["conn"], item["peer"], data, bool(item.get("cut", False)))
        return from_json(encode_json({name: value for name, value in item.items() if name != "seq"}), at)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
