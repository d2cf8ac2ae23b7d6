"""Events out of the objects that the API writes."""

import base64
from typing import Any

from portside.events import Event, Received, Sent, from_json, parse_utc
from portside.json_text import encode_json

_PAYLOAD: dict[str, type[Received] | type[Sent]] = {"received": Received, "sent": Sent}


def event_of(item: dict[str, Any]) -> Event | None:
    """The event that the API writes as this object; None for one of a newer version."""
    try:
        at = parse_utc(item["at"])
        kind = _PAYLOAD.get(item["event"])
        if kind is not None:
            data = item["text"].encode() if "text" in item else base64.b64decode(item.get("base64", ""))
            return kind(at, item["conn"], item["peer"], data or b"(%d B)" % item["size"], bool(item.get("cut", False)))
        return from_json(encode_json({name: value for name, value in item.items() if name != "seq"}), at)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
