"""Bytes and stream differences as JSON, for reports that are not events."""

import base64

from portside.wire.compare import Difference


def bytes_fields(data: bytes) -> dict[str, str]:
    """A JSON object with one field: ``text`` for bytes that are UTF-8, otherwise ``base64``; the same as in events."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def difference_fields(difference: Difference, left: str, right: str) -> dict[str, object]:
    """A difference of two streams as a JSON object; ``left`` and ``right`` are the names of the sides."""
    return {
        "offset": difference.offset,
        "before": bytes_fields(difference.before),
        left: bytes_fields(difference.left),
        right: bytes_fields(difference.right),
    }
