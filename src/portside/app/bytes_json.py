"""Bytes and names in JSON, where they are no event."""

import base64

from portside.wire.compare import Difference


def bytes_fields(data: bytes) -> dict[str, str]:
    """An object of one field: as in the events, ``text`` where the bytes are UTF-8 and else ``base64``."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def encodable(text: str) -> str:
    """A path as text for JSON: bytes that are no UTF-8 as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def difference_fields(difference: Difference, left: str, right: str) -> dict[str, object]:
    """A difference of two streams as a JSON object; ``left`` and ``right`` are the names of the sides."""
    return {
        "offset": difference.offset,
        "before": bytes_fields(difference.before),
        left: bytes_fields(difference.left),
        right: bytes_fields(difference.right),
    }
