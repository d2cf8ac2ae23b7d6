"""A page of the messages of a connection: which of those that are held, and as what."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from portside.control.blocks import Entry
from portside.control.event_json import HEAD_BYTES, head_of, text_or_base64
from portside.control.messages import Held
from portside.control.schema_events import Message, MessagePage, MessagesQuery
from portside.errors import InvalidValue
from portside.events import Received, utc
from portside.units import parse_text

if TYPE_CHECKING:
    from portside.events import Payload

PAGE_BYTES: Final = 1 << 20  # of payload, which one message may exceed

_Placed = tuple[int, Entry]


def make_page(held: Held, query: MessagesQuery) -> MessagePage:
    """The page that is asked for. Raises InvalidValue."""
    if query.after is not None and query.before is not None:
        raise InvalidValue("after and before exclude each other")
    contains = parse_text(query.contains) if query.contains is not None else b""
    placed = list(enumerate(held.entries, held.dropped + 1))
    if query.after is not None:
        return _after(held, placed, query, contains, query.after)
    known = [each for each in placed if query.before is None or each[1][0] < query.before]
    found, is_complete = _select(reversed(known), query, contains)
    number, place = (known[-1][1][0], known[-1][0]) if known else (held.dropped_to, held.dropped)
    items = [_message(each, query) for each in reversed(found)]
    return MessagePage(items=items, missed=held.dropped if is_complete else 0, next=_cursor(number, place))


def _after(held: Held, placed: list[_Placed], query: MessagesQuery, contains: bytes, after: str) -> MessagePage:
    number, place = _parse_cursor(after)
    missed = max(0, held.dropped - place) if number < held.dropped_to else 0
    later = [each for each in placed if each[1][0] > number]
    found, is_complete = _select(later, query, contains)
    last = later[-1] if later and is_complete else found[-1] if found else None
    items = [_message(each, query) for each in found]
    cursor = _cursor(last[1][0], last[0]) if last is not None else _cursor(max(number, held.dropped_to), held.dropped)
    return MessagePage(items=items, missed=missed, next=cursor if last is not None or missed else after)


def _select(placed: Iterable[_Placed], query: MessagesQuery, contains: bytes) -> tuple[list[_Placed], bool]:
    """The first of the messages that are wanted, as many as a page has, and whether these are all."""
    found: list[_Placed] = []
    size = 0
    for each in placed:
        data = _data(each)
        if contains not in data:
            continue
        size += 0 if query.payload == "none" else min(len(data), HEAD_BYTES) if query.payload == "head" else len(data)
        if len(found) == query.limit or (found and size > PAGE_BYTES):
            return found, False
        found.append(each)
    return found, True


def _data(placed: _Placed) -> bytes:
    return cast("Payload", placed[1][1]).data


def _message(placed: _Placed, query: MessagesQuery) -> Message:
    number, event = placed[1]
    data = _data(placed)
    message = Message(
        seq=number,
        at=utc(event.at),
        direction="in" if isinstance(event, Received) else "out",
        size=len(data),
    )
    if query.payload == "none":
        return message
    if query.payload == "head" and len(data) > HEAD_BYTES:
        message.cut = True
        data = head_of(data)
    message.text, message.base64 = text_or_base64(data)
    return message


def _cursor(number: int, place: int) -> str:
    """Where a page ended: the number of its last message, and that message's place in its connection."""
    return f"{number}.{place}"


def _parse_cursor(text: str) -> tuple[int, int]:
    """Read a cursor, or a number alone, of which the place is not known: 0. Raises InvalidValue."""
    parts = text.split(".")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise InvalidValue(f"after={text}: `next` of an earlier answer or a seq is expected")
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else 0
