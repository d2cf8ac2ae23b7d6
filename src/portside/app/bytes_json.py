"""Bytes and names in JSON, where they are no event."""

import base64


def bytes_fields(data: bytes) -> dict[str, str]:
    """An object of one field: as in the events, ``text`` where the bytes are UTF-8 and else ``base64``."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def encodable(text: str) -> str:
    """A path as text for JSON: bytes that are no UTF-8 as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
