"""What came of a replay, and its words for a person."""

from typing import NamedTuple

import msgspec

from portside.client.script import Ending, Role
from portside.wire.compare import Difference
from portside.wire.escaping import escape

_ENDED = {"closed": "closed in order", "reset": "reset the connection", None: "did not close"}


class LateAnswer(NamedTuple):
    """A wait that was given up: what had arrived (bytes), what was due, and how long nothing had moved."""

    arrived: int
    due: int
    timeout_s: float


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what should have; sizes are bytes.

    ``unknown`` bytes could not be compared, because the recording does not hold them. ``ended`` is how the other side
    did, as far as we could see; ``ended_recorded`` is None where that is not known or did not come to it.
    ``stalled_s`` is how long the other side took nothing of ours before that was given up.
    """

    sent: int
    to_send: int
    received: int
    expected: int
    unknown: int
    difference: Difference | None
    ended: Ending | None
    ended_recorded: Ending | None
    late: LateAnswer | None
    stalled_s: float | None

    @property
    def as_recorded(self) -> bool:
        """Whether the other side did all that was recorded, and nothing else."""
        return (
            self.difference is None
            and not self.unknown
            and self.sent == self.to_send
            and self.late is None
            and self.ended_recorded in (None, self.ended)
        )


def describe_result(result: ReplayResult, role: Role) -> str:
    """The result as one line: ``answered as recorded: 120 B sent, 3400 B received``."""
    said = "answered" if role == "client" else "sent"
    if result.as_recorded:
        return f"{said} as recorded: {result.sent} B sent, {result.received} B received"
    wrong = []
    if result.difference is not None:
        wrong.append(_difference_words(result, result.difference, said))
    if result.sent < result.to_send:
        wrong.append(_taken_words(result))
    elif result.difference is None and result.ended_recorded not in (None, result.ended):
        wrong.append(f"{said} as recorded, but {_ENDED[result.ended]}; recorded: it {_ENDED[result.ended_recorded]}")
    elif result.difference is None and result.late is not None:
        arrived, due, timeout_s = result.late
        wrong.append(f"{said} late: {arrived} of {due} B, then nothing for {timeout_s:g}s")
    if not wrong:
        wrong.append(f"{said} as recorded, as far as that is known: {result.unknown} B are missing in the recording")
    return "; ".join(wrong)


def _difference_words(result: ReplayResult, difference: Difference, said: str) -> str:
    """Where the bytes differ."""
    offset, before, recorded, got = difference
    if not got:
        how = f"and {_ENDED[result.ended]}"
        if result.ended is None and result.late is not None:
            how = f"and then nothing for {result.late.timeout_s:g}s"
        return f"{said} {result.received} B {how}; recorded: {result.expected} B"
    if not recorded:
        return f'{said} more than the {offset} B recorded: "{escape(got)}"'
    recorded_text, got_text = escape(before + recorded), escape(before + got)
    return f'differs at byte {offset} of what it {said}: recorded "{recorded_text}" got "{got_text}"'


def _taken_words(result: ReplayResult) -> str:
    if result.stalled_s is not None:
        return f"took nothing for {result.stalled_s:g}s after {result.sent} of {result.to_send} B were sent"
    return f"{_ENDED[result.ended]} after {result.sent} of {result.to_send} B were sent"
