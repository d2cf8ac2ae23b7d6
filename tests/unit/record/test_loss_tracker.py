"""Accounts of connections, and what of them a gap took."""

from recording_files import START_NS, blocks, closed, opened, received, sent

from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.loss_tracker import LossTracker


def keep(ledger: LossTracker, *events: Event) -> None:
    for block in blocks(*events).values():
        ledger.kept(block)


def lose(ledger: LossTracker, *events: Event) -> None:
    for block in blocks(*events).values():
        ledger.lost(block)


def marks(ledger: LossTracker, at: int = 99) -> dict[int, list[Event]]:
    return {block.conn: block.events for block in ledger.gap_blocks(START_NS + at, 2.5, "full")}


def test_sums_go_up_and_end_with_the_connection() -> None:
    ledger = LossTracker()
    keep(ledger, opened(1), received(1, b"abc"), sent(1, b"d"))
    keep(ledger, received(1, b"e"))
    assert ledger.before(1) == (4, 1)
    keep(ledger, closed(1, 4, 1))
    assert ledger.before(1) == (0, 0)


def test_what_a_gap_took_of_a_connection_that_goes_on() -> None:
    ledger = LossTracker()
    keep(ledger, opened(1), received(1, b"abc"))
    keep(ledger, opened(2))
    lose(ledger, received(1, b"defg"), sent(1, b"h"))
    lose(ledger, received(1, b"i"))
    assert ledger.before(1) == (8, 1)
    told = marks(ledger)
    assert set(told) == {0, 1}
    assert told[1] == [Gap(START_NS + 99, 1, 5, 1, 2.5, "full")]
    assert told[0] == [Gap(START_NS + 99, 0, 0, 0, 2.5, "full", connections=0)]
    ledger.gap_over()
    assert set(marks(ledger)) == {0}
    assert ledger.before(1) == (8, 1)


def test_opened_within_the_gap() -> None:
    ledger = LossTracker()
    lose(ledger, opened(1), received(1, b"abc"))
    assert [type(event) for event in marks(ledger)[1]] == [Opened, Gap]
    ledger.gap_over()
    lose(ledger, received(1, b"d"))
    assert marks(ledger)[1] == [Gap(START_NS + 99, 1, 1, 0, 2.5, "full")]


def test_half_closed_and_closed_within_the_gap() -> None:
    ledger = LossTracker()
    keep(ledger, opened(1))
    lose(ledger, received(1, b"abc"), HalfClosed(START_NS + 5, 1, "p"), closed(1, 3, 0, at=7))
    events = marks(ledger)[1]
    assert [type(event) for event in events] == [Gap, HalfClosed, Closed]
    assert events[0].at == START_NS + 7
    ledger.gap_over()
    assert set(marks(ledger)) == {0}
    assert ledger.before(1) == (0, 0)


def test_what_came_and_went_within_the_gap_is_a_sum() -> None:
    ledger = LossTracker()
    for conn in range(1, 1001):
        lose(ledger, opened(conn), received(conn, b"abc"))
        lose(ledger, sent(conn, b"de"), closed(conn, 3, 2))
    assert len(ledger._accounts) == 0
    assert marks(ledger) == {0: [Gap(START_NS + 99, 0, 3000, 2000, 2.5, "full", connections=1000)]}
    ledger.gap_over()
    assert marks(ledger) == {0: [Gap(START_NS + 99, 0, 0, 0, 2.5, "full", connections=0)]}
