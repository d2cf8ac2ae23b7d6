"""Events as the API writes them: those of ``--format json``, with numbers, and with as much payload as is asked for."""

import base64
from functools import lru_cache
from typing import Final, Literal

from portside.control.blocks import Entry
from portside.events import Payload, json_head, json_prefix, json_tail, to_json
from portside.json_text import encode_json

PayloadMode = Literal["none", "head", "all"]
HEAD_BYTES: Final = 256
_LONGEST_CHARACTER: Final = 4  # bytes, in UTF-8


def event_line(entry: Entry, mode: PayloadMode) -> bytes:
    """An event as a line of JSON."""
    number, event = entry
    if not isinstance(event, Payload):
        return b'{"seq":%d,%s\n' % (number, to_json(event)[1:])
    second, nanoseconds = divmod(event.at, 1_000_000_000)
    kind = type(event)
    return b'{"seq":%d,%s.%06dZ",%s%s\n' % (
        number,
        _head(kind, second),
        nanoseconds // 1000,
        _prefix(kind, event.conn, event.peer),
        _payload(event, mode),
    )


@lru_cache(maxsize=8)
def _head(kind: type[Payload], second: int) -> bytes:
    """The JSON of payload up to the second of its time: the same for thousands of events."""
    return json_head(kind, second * 1_000_000_000, b"")[1 : -len(b'.000000Z",')]


@lru_cache(maxsize=1024)
def _prefix(kind: type[Payload], conn: int, peer: str) -> bytes:
    return json_prefix(kind(0, conn, peer, b""))


def missed_line(number: int, count: int) -> bytes:
    """A line that says that ``count`` events are missing, of which ``number`` is the last."""
    return b'{"seq":%d,"event":"missed","count":%d}\n' % (number, count)


def _payload(event: Payload, mode: PayloadMode) -> bytes:
    """The JSON of payload from its size on."""
    data = event.data
    if mode == "none":
        return b"%d}" % len(data)
    if mode == "head" and len(data) > HEAD_BYTES:
        text, binary = text_or_base64(head_of(data))
        shown = b'"text":' + encode_json(text) if text is not None else b'"base64":' + encode_json(binary)
        return b'%d,%s,"cut":true}' % (len(data), shown)
    return json_tail(data, cut=event.cut)


def head_of(data: bytes) -> bytes:
    """The beginning of payload, up to the end of a character where the payload is text."""
    head = data[:HEAD_BYTES]
    try:
        head.decode()
    except UnicodeDecodeError as error:
        begun = head[error.start :]
        if len(begun) < _LONGEST_CHARACTER and _is_text(begun + data[HEAD_BYTES : HEAD_BYTES + _LONGEST_CHARACTER]):
            return head[: error.start]
    return head


def _is_text(data: bytes) -> bool:
    """Whether data begins with a whole character."""
    return any(_decodes(data[:size]) for size in range(1, _LONGEST_CHARACTER + 1))


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def text_or_base64(data: bytes) -> tuple[str | None, str | None]:
    """Payload as text where it is valid UTF-8, and otherwise in base64."""
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(data).decode()
