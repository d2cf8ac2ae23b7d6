"""What was said on a connection, as far as the console holds it, and its lines: text, hex, or both."""

import base64
import enum
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from portside.feed.render.hexdump import dump
from portside.units import counted
from portside.wire.cells import split_rows
from portside.wire.escaping import escape, escape_text

MOST_BYTES = 1 << 20  # of payload; the server holds more
_TIME = slice(11, 23)  # of 2026-11-22T12:00:04.001234Z
_INDENT = 15  # "12:00:04.001 > "
_LEAST_TEXT = 10


class Mode(enum.StrEnum):
    """How payload is shown."""

    TEXT = "text"
    HEX = "hex"
    BOTH = "text and hex"

    def next(self) -> "Mode":
        """The mode that comes after this one."""
        modes = list(Mode)
        return modes[(modes.index(self) + 1) % len(modes)]


class Line(NamedTuple):
    """A line of the screen. ``direction`` is ``in``, ``out`` or, for a remark of the console, empty."""

    direction: str
    head: str
    text: str


class Message(NamedTuple):
    """Bytes as they were read or written at a time (UTC, as in events); a remark has no direction and no bytes."""

    seq: int
    at: str
    direction: str
    data: bytes
    remark: str = ""


class Transcript:
    """The newest messages of one connection."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.size = 0
        self.dropped = 0  # messages that were held, and are no longer

    def add(self, page: Mapping[str, Any]) -> list[Message]:
        """Add a page of the API: its messages, and a remark where some were missed."""
        new = [_message(item) for item in page["items"]]
        if page["missed"]:
            at = new[0].at if new else ""
            new.insert(0, Message(0, at, "", b"", f"{counted(page['missed'], 'message')} not held any more"))
        self.messages += new
        self.size += sum(len(each.data) for each in new)
        while self.size > MOST_BYTES and len(self.messages) > 1:
            self.size -= len(self.messages.popleft().data)
            self.dropped += 1
        return new


def _message(item: Mapping[str, Any]) -> Message:
    data = item["text"].encode("utf-8", "surrogatepass") if "text" in item else base64.b64decode(item.get("base64", ""))
    return Message(item["seq"], item["at"], item["direction"], data)


def message_lines(message: Message, mode: Mode, width: int) -> list[Line]:
    """A message as lines of at most ``width`` cells."""
    if message.remark:
        return [Line("", "", f"-- {message.remark}")]
    direction, arrow = message.direction, ">" if message.direction == "in" else "<"
    head = f"{escape_text(message.at[_TIME])} {arrow} "
    if mode is Mode.HEX:
        return [Line(direction, head, f"{len(message.data):,} B"), *_hex_lines(message, width)]
    texts = list(_text_lines(message.data, max(_LEAST_TEXT, width - _INDENT)))
    lines = [Line(direction, head if not number else " " * _INDENT, text) for number, text in enumerate(texts)]
    return lines if mode is Mode.TEXT else [*lines, *_hex_lines(message, width)]


def _text_lines(data: bytes, width: int) -> Iterable[str]:
    for line in data.removesuffix(b"\n").split(b"\n"):
        rows = split_rows(escape(line), max(2, width))
        yield from rows[:-1] if len(rows) > 1 and not rows[-1] else rows


def _hex_lines(message: Message, width: int) -> Iterable[Line]:
    for row in dump(message.data).decode("ascii").splitlines():
        yield Line(message.direction, "", row[4:][:width])
