"""What is collected of a connection until the next flush."""

import pytest
from recording_files import START_NS, blocks, closed, opened, received, sent

from portside.events import Event
from portside.record import block_builder
from portside.record.block_builder import BlockBuilder
from portside.record.segment import EVENT, NOTE, RECEIVED, SENT, meta_kind


def filled(*events: Event) -> BlockBuilder:
    return blocks(*events)[1]


def test_columns_and_sums() -> None:
    block = filled(opened(1, 1), received(1, b"abc", 2), sent(1, b"de", 3), closed(1, 3, 2, 4))
    block.add(NOTE, 9, b"n")
    assert [meta_kind(packed) for packed in block.metas] == [EVENT, RECEIVED, SENT, EVENT, NOTE]
    assert (block.received, block.sent) == (3, 2)
    assert [event.event for _, event in block.events] == ["opened", "closed"]
    assert block.bodies[1:3] == [b"abc", b"de"]


def test_a_payload_larger_than_an_entry_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_builder, "MOST_ENTRY_BYTES", 4)
    block = filled(received(1, b"0123456789"), sent(1, b"abcde"))
    assert block.bodies == [b"0123", b"4567", b"89", b"abcd", b"e"]
    assert (block.received, block.sent) == (10, 5)


def test_one_takes_what_came_later() -> None:
    block = filled(received(1, b"a", 1))
    block.extend(filled(sent(1, b"b", 2), closed(1, 1, 1, 3)))
    assert (block.received, block.sent, len(block.times), len(block.events)) == (1, 1, 3, 1)


def test_parts() -> None:
    assert list(BlockBuilder(1).parts(1000)) == []
    block = filled(opened(1), received(1, b"x" * 50), sent(1, b"y" * 60), received(1, b"z" * 150), closed(1, 200, 60))
    assert list(block.parts(10_000)) == [block]
    parts = list(block.parts(200))
    assert len(parts) > 1
    assert [body for part in parts for body in part.bodies] == block.bodies
    assert [packed for part in parts for packed in part.metas] == block.metas
    assert [time for part in parts for time in part.times] == block.times
    assert [event for part in parts for event in part.events] == block.events
    assert (sum(part.received for part in parts), sum(part.sent for part in parts)) == (200, 60)
    for part in parts:
        assert sum(map(len, part.bodies)) + 12 * len(part.times) <= 200 or len(part.times) == 1


def test_payload_that_fits_into_no_part_is_split_and_an_event_is_not() -> None:
    block = filled(received(1, b"ab" * 200, 7), sent(1, b"c" * 200, 8))
    block.add(EVENT, 9, b"e" * 300)
    block.events.append((9, opened(1)))
    parts = list(block.parts(200))
    assert [[len(body) for body in part.bodies] for part in parts] == [[200], [200], [200], [300]]
    assert b"".join(body for part in parts[:2] for body in part.bodies) == b"ab" * 200
    assert [part.times for part in parts] == [[START_NS + 7]] * 2 + [[START_NS + 8], [9]]
    assert [(part.received, part.sent, len(part.events)) for part in parts] == [
        *((200, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 1))
    ]


def test_parts_of_a_block_with_notes() -> None:
    block = filled(received(1, b"x" * 180))
    block.add(NOTE, 1, b"n")
    assert [len(part.times) for part in block.parts(200)] == [1, 1]


def test_parts_have_no_more_entries_than_a_block_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_builder, "MOST_ENTRIES", 3)
    monkeypatch.setattr(block_builder, "_SURELY_FEW", 3)
    block = filled(*(received(1, b"x") for _ in range(7)))
    assert [len(part.times) for part in block.parts(1 << 20)] == [3, 3, 1]
