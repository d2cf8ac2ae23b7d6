"""What came of a replay, in words."""

from typing import Any

import pytest

from portside.client.replay_result import LateAnswer, ReplayResult, describe_result
from portside.wire.compare import Difference


def played(**fields: Any) -> ReplayResult:
    usual: dict[str, Any] = {
        "sent": 120, "to_send": 120, "received": 3400, "expected": 3400, "unknown": 0, "difference": None,
        "ended": "closed", "ended_recorded": "closed", "late": None, "stalled_s": None,
    }  # fmt: skip
    return ReplayResult(**{**usual, **fields})


def test_as_recorded() -> None:
    for fields in ({}, {"ended": None, "ended_recorded": None}, {"ended": "reset", "ended_recorded": None}):
        assert played(**fields).as_recorded
    assert describe_result(played(), "client") == "answered as recorded: 120 B sent, 3400 B received"
    assert describe_result(played(), "server") == "sent as recorded: 120 B sent, 3400 B received"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"difference": Difference(57, b"a ", b"\x1b[x", b"y")},
            'differs at byte 57 of what it answered: recorded "a \\x1b[x" got "a y"',
        ),
        (
            {"received": 57, "difference": Difference(57, b"a ", b"b", b"")},
            "answered 57 B and closed in order; recorded: 3400 B",
        ),
        (
            {"received": 57, "difference": Difference(57, b"", b"b", b""), "ended": "reset"},
            "answered 57 B and reset the connection; recorded: 3400 B",
        ),
        (
            {
                "received": 57,
                "difference": Difference(57, b"", b"b", b""),
                "ended": None,
                "late": LateAnswer(57, 100, 0.5),
            },
            "answered 57 B and then nothing for 0.5s; recorded: 3400 B",
        ),
        (
            {"received": 3404, "difference": Difference(3400, b"a", b"", b"more")},
            'answered more than the 3400 B recorded: "more"',
        ),
        (
            {"ended": None},
            "answered as recorded, but did not close; recorded: it closed in order",
        ),
        (
            {"ended": "reset"},
            "answered as recorded, but reset the connection; recorded: it closed in order",
        ),
        ({"late": LateAnswer(0, 5, 2.0)}, "answered late: 0 of 5 B, then nothing for 2s"),
        ({"sent": 20, "ended": "reset", "ended_recorded": None}, "reset the connection after 20 of 120 B were sent"),
        (
            {"sent": 20, "ended": None, "stalled_s": 10.0},
            "took nothing for 10s after 20 of 120 B were sent",
        ),
        (
            {"sent": 20, "ended": "reset", "received": 1, "difference": Difference(1, b"a", b"b", b"")},
            "answered 1 B and reset the connection; recorded: 3400 B; reset the connection after 20 of 120 B were sent",
        ),
        (
            {"unknown": 400},
            "answered as recorded, as far as that is known: 400 B are missing in the recording",
        ),
    ],
)  # fmt: skip
def test_what_was_different(fields: dict[str, Any], said: str) -> None:
    assert not played(**fields).as_recorded
    assert describe_result(played(**fields), "client") == said
