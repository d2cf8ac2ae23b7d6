"""The sums of open connections, and the bytes and events of them that a gap took."""

from recording_files import START_NS, blocks, closed, opened, received, sent

from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.loss_tracker import LossTracker


def keep(losses: LossTracker, *events: Event) -> None:
    for block in blocks(*events).values():
        losses.count_written(block)


def lose(losses: LossTracker, *events: Event) -> None:
    for block in blocks(*events).values():
        losses.count_lost(block)


def marks(losses: LossTracker, at: int = 99) -> dict[int, list[Event]]:
    """The events that mark a gap of 2.5 s up to ``at`` (ns), by connection."""
    end = START_NS + at
    blocks = losses.gap_blocks(end - 2_500_000_000, end, end, "full")
    return {block.conn: [event for _, event in block.events] for block in blocks}


def test_sums_go_up_and_end_with_the_connection() -> None:
    losses = LossTracker()
    keep(losses, opened(1), received(1, b"abc"), sent(1, b"d"))
    keep(losses, received(1, b"e"))
    assert losses.before(1) == (4, 1)
    keep(losses, closed(1, 4, 1))
    assert losses.before(1) == (0, 0)


def test_what_a_gap_took_of_a_connection_that_goes_on() -> None:
    losses = LossTracker()
    keep(losses, opened(1), received(1, b"abc"))
    keep(losses, opened(2))
    lose(losses, received(1, b"defg"), sent(1, b"h"))
    lose(losses, received(1, b"i"))
    assert losses.before(1) == (8, 1)
    told = marks(losses)
    assert set(told) == {0, 1}
    assert told[1] == [Gap(START_NS + 99, 1, 5, 1, 2.5, "full")]
    assert told[0] == [Gap(START_NS + 99, 0, 0, 0, 2.5, "full", connections=0)]
    losses.clear()
    assert set(marks(losses)) == {0}
    assert losses.before(1) == (8, 1)


def test_opened_within_the_gap() -> None:
    losses = LossTracker()
    lose(losses, opened(1), received(1, b"abc"))
    assert [type(event) for event in marks(losses)[1]] == [Opened, Gap]
    losses.clear()
    lose(losses, received(1, b"d"))
    assert marks(losses)[1] == [Gap(START_NS + 99, 1, 1, 0, 2.5, "full")]


def test_half_closed_and_closed_within_the_gap() -> None:
    losses = LossTracker()
    keep(losses, opened(1))
    lose(losses, received(1, b"abc"), HalfClosed(START_NS + 5, 1, "p"), closed(1, 3, 0, at=7))
    events = marks(losses, at=2_000_000_007)[1]
    assert events[:1] == [Gap(START_NS + 7, 1, 3, 0, 0.5, "full")]  # from the beginning of the outage to the closing
    assert [type(event) for event in events] == [Gap, HalfClosed, Closed]
    losses.clear()
    assert set(marks(losses)) == {0}
    assert losses.before(1) == (0, 0)


def test_what_came_and_went_within_the_gap_is_a_sum() -> None:
    losses = LossTracker()
    for conn in range(1, 1001):
        lose(losses, opened(conn), received(conn, b"abc"))
        lose(losses, sent(conn, b"de"), closed(conn, 3, 2))
    assert len(losses._sums) == 0
    assert marks(losses) == {0: [Gap(START_NS + 99, 0, 3000, 2000, 2.5, "full", connections=1000)]}
    losses.clear()
    assert marks(losses) == {0: [Gap(START_NS + 99, 0, 0, 0, 2.5, "full", connections=0)]}
