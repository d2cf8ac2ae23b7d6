"""Events as entries of a block: JSON that may come from anybody, so every value is checked against what can be."""

from typing import Final

from portside.events import Closed, Event, Fault, Gap, HalfClosed, Opened, from_json
from portside.record.segment import MOST_BYTES, MOST_TIME, Damaged, Entry

MOST_JSON_BYTES: Final = 1 << 20  # of an event or a note: the largest that are written have all the TLVs of a header
_MOST_BRACKETS: Final = 200  # in it: what is nested deeper than the decoder's recursion goes has more
MOST_SECONDS: Final = 1e10  # some 300 years
_COUNTS: Final[dict[type[Event], tuple[str, ...]]] = {
    Closed: ("received", "sent"),
    Gap: ("received", "sent", "connections"),
    Fault: ("offset", "size"),
}


def decode_event(entry: Entry, conn: int, *, same_time: bool = False) -> Event:
    """The event in an entry of the kind EVENT in a block of connection ``conn``. Raises Damaged.

    ``same_time``: the wall clock was not set in the segment, so the entry's time is that of the event.
    """
    require_small_json(entry.data)
    try:
        event = from_json(entry.data, entry.at, same_time=same_time)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Damaged(f"an event cannot be read: {error}") from None
    if (getattr(event, "conn", 0) or 0) != conn or (not conn and isinstance(event, Opened | HalfClosed | Closed)):
        raise Damaged("an event is in the block of another connection")
    if not 0 <= event.at <= MOST_TIME or not 0 <= getattr(event, "duration", 0) <= MOST_SECONDS:
        raise Damaged("an event has a time that cannot be")
    if not all(0 <= (getattr(event, name, 0) or 0) <= MOST_BYTES for name in _COUNTS.get(type(event), ())):
        raise Damaged("an event has a count that cannot be")
    return event


def require_small_json(data: bytes) -> None:
    """Raise Damaged for JSON that is larger or nested more deeply than what a recorder writes."""
    if len(data) > MOST_JSON_BYTES or data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise Damaged("it is larger than an event can be")
