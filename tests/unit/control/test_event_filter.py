"""Filters of events."""

import time

import pytest

from portside.control.event_filter import make_event_filter
from portside.events import Act, Closed, Event, Listening, Opened, Received, Refused, Sent
from portside.kernel.filter.errors import FilterError

AT = 1_700_000_000_000_000_000
EVENTS: dict[str, Event] = {
    "listening": Listening(AT, "127.0.0.1:12345"),
    "opened": Opened(AT, 7, "127.0.0.1:5000", "127.0.0.1:12345"),
    "opened6": Opened(AT, 8, "[::ffff:127.0.0.9]:6000", "[::1]:12345"),
    "unix": Opened(AT, 9, "unix:@/tmp/a.sock", "unix:/tmp/a.sock"),
    "received": Received(AT, 7, "127.0.0.1:5000", b"x" * 100),
    "sent": Sent(AT, 8, "[2001:db8::1]:6000", b"x" * 2000),
    "closed": Closed(AT, 7, "127.0.0.1:5000", "peer_reset", 100, 0, 2.5),
    "refused": Refused(AT, "10.0.0.1:5000", "max_conns"),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("conn = 7", "opened received closed"),
        ("conn != 7", "opened6 unix sent"),
        ("not conn = 7", "opened6 unix sent"),
        ("conn > 7", "opened6 unix sent"),
        ("event = closed", "closed"),
        ("event = CLOSED or event = refused", "closed refused"),
        ("event = *ed and not event = opened", "received closed refused"),
        ("reason = peer_*", "closed"),
        ("not reason = peer_*", "refused"),
        ("size > 1k", "sent"),
        ("size <= 100", "received"),
        ("duration > 2s", "closed"),
        ("received = 100", "closed"),
        ("peer 127.0.0.1", "opened received closed"),
        ("peer 127.0.0.0/8", "opened opened6 received closed"),
        ("dst 2001:db8::/32", "sent"),
        ("peer != 127.0.0.0/8", "sent refused"),
        ("dport = :5000", "opened received closed refused"),
        ("sport = :12345", "opened opened6"),
        ("12345", "opened opened6"),
        ("conn = 7 and ( event = opened or event = closed )", "opened closed"),
        ("not ( conn = 7 and event = received )", "listening opened opened6 unix sent closed refused"),
        ("conn = 7 or conn = 8 or conn = 9", "opened opened6 unix received sent closed"),
        ("conn = 7 size = 100 event = received", "received"),
    ],
)
def test_what_matches(text: str, wanted: str) -> None:
    made = make_event_filter(text)
    assert made is not None
    found = [name for name, event in EVENTS.items() if made.matches(event)]
    assert found == wanted.split()
    assert made.takes_payload >= bool({"received", "sent"} & set(found))


def test_an_empty_filter_is_none() -> None:
    assert make_event_filter(" ") is None


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("conn = x", 7, "no whole number"),
        ("evnt = closed", 0, "did you mean event?"),
        ("state established", 0, "an event has no such column"),
        ("conn = 7 and program = nc", 0, "an event has no such column"),
        ("( conn = 7", 0, "not closed"),
    ],
)
def test_a_mistake_has_its_place(text: str, at: int, words: str) -> None:
    with pytest.raises(FilterError) as error:
        make_event_filter(text)
    assert words in error.value.problem
    assert error.value.at == at


@pytest.mark.parametrize(
    ("text", "takes_payload"),
    [
        ("not event = received and not event = sent", False),
        ("event != received event != SENT", False),
        ("not ( event = received or event = sent )", False),
        ("event = closed and conn = 7", False),
        ("event = closed or conn = 7", True),
        ("not event = received", True),
        ("event = s*", True),
        ("event = st*", False),
        ("not ( event = received and conn = 7 )", True),
        ("size > 1k", True),
    ],
)
def test_whether_any_payload_can_match(text: str, takes_payload: bool) -> None:
    made = make_event_filter(text)
    assert made is not None
    assert made.takes_payload is takes_payload


def test_many_stars_take_no_longer_than_their_text() -> None:
    """Each star of a regular expression would try every place, for every place of the star before it."""
    made = make_event_filter(f"by = {'*?' * 2000}*x")
    assert made is not None
    event = Act(at=AT, act="pause", by="a" * 5000)
    start = time.process_time()
    assert not made.matches(event)
    assert time.process_time() - start < 1
    assert made.conditions == 1
