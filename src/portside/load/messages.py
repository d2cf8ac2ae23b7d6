"""What is sent: text, a file, or random bytes; the same each time or made anew for each message."""

import os
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import msgspec

from portside.errors import InvalidValue, PortsideError, reason_of
from portside.units import parse_positive_size
from portside.wire.rules.template import Context, Template, text_template

MOST_BYTES = 64 << 20
_POOL_BYTES = 1 << 20
DEFAULT = "0123456789" * 6 + r"abc\n"
"""A line of 64 bytes."""


class MessageContext(NamedTuple):
    """Where messages go, and how many there were: what their variables stand for."""

    conn: int
    messages: int  # so far
    peer: str
    local: str


class MessageSource(NamedTuple):
    """The messages of a run: ``constant`` where all are alike; otherwise ``make`` makes the next one."""

    constant: bytes | None
    make: Callable[[MessageContext, int, Random], bytes]
    """Takes the sender, the time in ns since 1970, and a source of chance."""


def parse_message(text: str) -> MessageSource:
    """Read ``TEXT`` with escapes and ``${…}``, ``@FILE`` or ``random:SIZE``. Raises InvalidValue and PortsideError."""
    if text.startswith("@"):
        return _always(_file(text[1:]))
    kind, colon, rest = text.partition(":")
    if kind == "random" and colon:
        return _random(parse_positive_size(rest))
    template = text_template(text, {}, 0)
    if template.constant is not None:
        return _always(template.constant)
    return MessageSource(None, _Rendered(template))


def _always(message: bytes) -> MessageSource:
    if not message:
        raise InvalidValue("a message has one byte at least")
    return MessageSource(message, lambda _sender, _at, _random: message)


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PortsideError(path, reason_of(error)) from None
    if len(data) > MOST_BYTES:
        raise InvalidValue(f"{path!r} is larger than a message may be, {MOST_BYTES >> 20} MiB")
    return data


def _random(size: int) -> MessageSource:
    if size > MOST_BYTES:
        raise InvalidValue(f"a message has {MOST_BYTES >> 20} MiB at most")
    # Parts of one pool: 60 ns where new bytes from the kernel take 2 ns each.
    pool = os.urandom(size + min(size, _POOL_BYTES))
    last = len(pool) - size

    def make(_sender: MessageContext, _at: int, random: Random) -> bytes:
        at = int(random.random() * last)
        return pool[at : at + size]

    return MessageSource(None, make)


class _Rendered(msgspec.Struct):
    """A template, filled in for each message."""

    template: Template

    def __call__(self, sender: MessageContext, at: int, random: Random) -> bytes:
        return self.template.render(
            Context(
                groups=(b"",), message=b"", peer=sender.peer, local=sender.local, conn=sender.conn,
                messages=sender.messages, state="", at=at, random=random,
            )
        )  # fmt: skip
