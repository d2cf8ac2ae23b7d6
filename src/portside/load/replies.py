"""When a message counts as answered: readers of what a server sends back on one connection.

A reader gets the bytes as they come, in pieces of any size, and returns how many answers have ended with them.
``expect`` says that a message was sent; what comes for a message that was not sent is an answer too many, which whoever
counts them notices. Bytes that cannot be the answer raise WrongReply. No reader keeps more than MOST_WAITING_BYTES.
"""

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from portside.errors import InvalidValue
from portside.units import parse_count, parse_positive_size, parse_text
from portside.wire.rules.patterns import regex

MOST_WAITING_BYTES = 1 << 20
_CYCLE_BYTES = 1 << 17


class WrongReply(Exception):
    """An answer that is not the one that was asked for."""


class ReplyReader(Protocol):
    """Counts answers in the bytes of one connection."""

    def expect(self, message: bytes) -> None: ...

    def feed(self, data: bytes) -> int: ...


class Reply(NamedTuple):
    """The answer that is waited for, as it was written (``--reply``), and how a reader of it is made."""

    written: str
    reader: Callable[[bytes | None], ReplyReader] | None
    """Takes the message, where all are alike; None where a message counts as answered once it is sent."""


def parse_reply(text: str) -> Reply:
    """Read ``echo``, ``none``, ``lines:N``, ``bytes:N``, ``/REGEX/`` or the text that ends an answer."""
    kind, colon, rest = text.partition(":")
    if text == "none":
        return Reply(text, None)
    if text == "echo":
        return Reply(text, lambda message: VaryingEcho() if message is None else ConstantEcho(message))
    if kind == "lines" and colon:
        lines = parse_count(rest)
        return Reply(text, lambda _: CountedReply(lines, b"\n"))
    if kind == "bytes" and colon:
        size = parse_positive_size(rest)
        return Reply(text, lambda _: CountedReply(size))
    body, slash, flag = text[1:].rpartition("/")
    if text.startswith("/") and slash and flag in ("", "i"):
        compiled = regex(body, ignore_case=flag == "i").compiled
        if compiled.search(b"") is not None:
            raise InvalidValue(f"{text!r} also matches nothing at all, so that it would never wait for an answer")
        return Reply(text, lambda _: EndedByPattern(compiled))
    ending = parse_text(text)
    if not ending:
        raise InvalidValue("an answer ends with some text: write echo, none, lines:N, bytes:N, /REGEX/ or TEXT")
    return Reply(text, lambda _: EndedByText(ending))


class ConstantEcho:
    """Each answer is the message, which is always the same: the stream is compared with an endless row of them."""

    __slots__ = ("_at", "_cycle", "_size")

    def __init__(self, message: bytes) -> None:
        self._size = len(message)
        self._cycle = _cycle_of(message)
        self._at = 0  # bytes of the current answer that have come

    def expect(self, message: bytes) -> None:
        pass

    def feed(self, data: bytes) -> int:
        at = self._at
        if at == 0 and len(data) == self._size:  # most often: one whole answer
            if not self._cycle.startswith(data):
                raise WrongReply
            return 1
        end = at + len(data)
        if len(data) <= _CYCLE_BYTES:
            if not self._cycle.startswith(data, at):
                raise WrongReply
        else:
            size = self._size
            if (self._cycle[at:size] + self._cycle[:size] * (len(data) // size + 1))[: len(data)] != data:
                raise WrongReply
        answers, self._at = divmod(end, self._size)
        return answers


@lru_cache(8)
def _cycle_of(message: bytes) -> bytes:
    """A row of messages; all connections of a run compare with the same one."""
    return message * (_CYCLE_BYTES // len(message) + 2)


class VaryingEcho:
    """Each answer is the message that was sent, and the next may be another."""

    __slots__ = ("_come", "_expected", "_sizes")

    def __init__(self) -> None:
        self._expected = bytearray()
        self._sizes: deque[int] = deque()
        self._come = 0  # bytes of the first answer that have come

    def expect(self, message: bytes) -> None:
        self._expected += message
        self._sizes.append(len(message))

    def feed(self, data: bytes) -> int:
        if not self._expected.startswith(data):
            raise WrongReply
        del self._expected[: len(data)]
        self._come += len(data)
        answers = 0
        while self._sizes and self._come >= self._sizes[0]:
            self._come -= self._sizes.popleft()
            answers += 1
        return answers


class CountedReply:
    """An answer is so many bytes, or so many of one byte, such as the ends of lines."""

    __slots__ = ("_come", "_counted", "_each")

    def __init__(self, each: int, counted: bytes | None = None) -> None:
        self._each = each
        self._counted = counted
        self._come = 0

    def expect(self, message: bytes) -> None:
        pass

    def feed(self, data: bytes) -> int:
        self._come += len(data) if self._counted is None else data.count(self._counted)
        answers, self._come = divmod(self._come, self._each)
        return answers


class EndedByText:
    """An answer ends with a text."""

    __slots__ = ("_ending", "_tail")

    def __init__(self, ending: bytes) -> None:
        self._ending = ending
        self._tail = b""  # what may be the beginning of the ending

    def expect(self, message: bytes) -> None:
        pass

    def feed(self, data: bytes) -> int:
        data = self._tail + data
        answers = data.count(self._ending)
        rest = data[data.rfind(self._ending) + len(self._ending) :] if answers else data
        self._tail = rest[max(len(rest) - len(self._ending) + 1, 0) :]
        return answers


class EndedByPattern:
    """An answer ends where an expression matches; what came before that is part of it."""

    __slots__ = ("_compiled", "_waiting")

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._waiting = b""

    def expect(self, message: bytes) -> None:
        pass

    def feed(self, data: bytes) -> int:
        data = self._waiting + data
        answers = at = search_at = 0
        while search_at <= len(data) and (match := self._compiled.search(data, search_at)) is not None:
            if match.end() == match.start():  # of \b, for one: a place without text ends no answer
                search_at = match.end() + 1
                continue
            answers += 1
            at = search_at = match.end()
        self._waiting = data[at:]
        if len(self._waiting) > MOST_WAITING_BYTES:
            raise WrongReply
        return answers
