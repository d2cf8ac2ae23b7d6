"""Bytes in JSON, where they are no event: as in the events, ``text`` where they are UTF-8 and else ``base64``."""

import base64


def bytes_fields(data: bytes) -> dict[str, str]:
    """An object of one field."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
