"""A recorded conversation as a script for either side."""

from collections.abc import Iterator
from typing import get_args

import pytest
from transcripts import BEGAN, PEER, Line, conversation

from portside.client.script import ConnectionEnd, Expect, HalfClose, MissingData, Role, Script, Send, Step, make_script
from portside.events import CloseReason, Event, Gap, Opened

HELLO: tuple[Line, ...] = ((">", b"hello"), ("<", b"HELLO!"))


def script(events: list[Event], role: Role, received: int, sent: int) -> Script:
    return make_script(lambda: iter(events), role, received=received, sent=sent, began=BEGAN)


def steps(of: Script) -> list[Step]:
    return [step._replace(at=0) for step in of.steps]


def test_the_client_sends_what_was_received_and_half_closes_as_the_peer_did() -> None:
    made = script(conversation(*HELLO, "fin"), "client", 5, 6)
    assert steps(made) == [Send(0, b"hello"), Expect(0, 6), HalfClose(0, True), ConnectionEnd(0, "closed", "closed")]
    assert list(made.answers) == [b"HELLO!"]
    assert (made.ours, made.theirs) == (5, 6)


def test_the_server_sends_what_was_sent_and_expects_the_peer_to_half_close() -> None:
    made = script(conversation(*HELLO, "fin"), "server", 5, 6)
    assert steps(made) == [Expect(0, 5), Send(0, b"HELLO!"), HalfClose(0, False), ConnectionEnd(0, "closed", "closed")]
    assert list(made.answers) == [b"hello"]
    assert (made.ours, made.theirs) == (6, 5)


@pytest.mark.parametrize(
    ("reason", "recorder", "peer"),
    [
        ("peer_reset", None, "reset"),
        ("local_closed", "closed", None),
        ("local_reset", "reset", None),
        ("idle_timeout", "closed", None),
        ("write_timeout", None, None),
        ("fault", None, None),
        ("shutdown", None, None),
        ("error", None, None),
    ],
)
def test_who_ended_it(reason: CloseReason, recorder: str | None, peer: str | None) -> None:
    events = conversation(*HELLO, reason=reason)
    assert steps(script(events, "client", 5, 6))[-1] == (0, peer, recorder)
    assert steps(script(events, "server", 5, 6))[-1] == (0, recorder, peer)


def test_every_reason_has_an_ending() -> None:
    for reason in get_args(CloseReason):
        assert isinstance(steps(script(conversation(reason=reason), "client", 0, 0))[-1], ConnectionEnd)


def test_a_connection_that_goes_on_ends_with_what_was_there_when_the_script_was_made() -> None:
    events = conversation(*HELLO, (">", b"more"), (">", b"and more"), reason=None)
    assert steps(script(events, "client", 7, 6)) == [
        Send(0, b"hello"),
        Expect(0, 6),
        Send(0, b"mo"),
        ConnectionEnd(0, None, None),
    ]


def test_what_never_left_is_not_expected() -> None:
    made = script(conversation(*HELLO, left=2, reason="peer_reset"), "client", 5, 2)
    assert steps(made) == [Send(0, b"hello"), Expect(0, 2), ConnectionEnd(0, "reset", None)]
    assert list(made.answers) == [b"HE"]


def test_a_half_close_that_is_lost_is_known_from_the_end() -> None:
    assert steps(script(conversation(*HELLO), "client", 5, 6))[-2:] == [
        HalfClose(0, True),
        ConnectionEnd(0, "closed", "closed"),
    ]


def test_gaps_count_and_are_not_made_up() -> None:
    def events() -> Iterator[Event]:
        yield Opened(BEGAN, 1, PEER, "")
        yield Gap(BEGAN, 1, 3, 4, 0.0, "damaged")
        yield from conversation(*HELLO)[1:]

    made = make_script(events, "client", received=8, sent=10, began=None)
    assert steps(made)[:3] == [Expect(0, 4), MissingData(0, 3), Send(0, b"hello")]
    assert list(made.answers) == [4, b"HELLO!"]
    made = make_script(events, "server", received=8, sent=10, began=None)
    assert steps(made)[:3] == [Expect(0, 3), MissingData(0, 4), Expect(0, 5)]
    assert list(made.answers) == [3, b"hello"]


def test_a_gap_of_the_other_direction_is_no_answer() -> None:
    events: list[Event] = [Opened(BEGAN, 1, PEER, ""), Gap(BEGAN, 1, 3, 0, 0.0, "damaged")]
    made = script(events, "client", 3, 0)
    assert steps(made) == [MissingData(0, 3), ConnectionEnd(0, None, None)]
    assert list(made.answers) == []
