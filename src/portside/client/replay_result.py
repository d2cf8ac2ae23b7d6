"""The result of a replay, and how a line of text describes it."""

from typing import NamedTuple

import msgspec

from portside.client.script import Ending, Role
from portside.wire.compare import Difference
from portside.wire.escaping import escape

_ENDED = {"closed": "closed in order", "reset": "reset the connection", None: "did not close"}


class LateAnswer(NamedTuple):
    """An answer that was given up: bytes that had arrived, bytes expected, seconds in which nothing had moved."""

    arrived: int
    expected: int
    timeout_s: float


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a replay beside that of the recording; sizes are in bytes.

    ``unknown`` bytes could not be compared, because the recording does not hold them. ``ended`` is how the other side
    ended the connection, as far as we could see; ``ended_recorded`` is None where the recording does not have that, or
    the replay did not get so far. ``stalled_s`` is the time for which the other side had taken nothing when sending was
    given up; None where sending was not given up.
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
    """Describe a result in one line: ``answered as recorded: 120 B sent, 3400 B received``."""
    verb = "answered" if role == "client" else "sent"
    if result.as_recorded:
        return f"{verb} as recorded: {result.sent} B sent, {result.received} B received"
    problems = []
    if result.difference is not None:
        problems.append(_describe_difference(result, result.difference, verb))
    if result.sent < result.to_send:
        problems.append(_describe_shortfall(result))
    elif result.difference is None and result.ended_recorded not in (None, result.ended):
        problems.append(f"{verb} as recorded, but {_ENDED[result.ended]}; recorded: it {_ENDED[result.ended_recorded]}")
    elif result.difference is None and result.late is not None:
        arrived, expected, timeout_s = result.late
        problems.append(f"{verb} late: {arrived} of {expected} B, then nothing for {timeout_s:g}s")
    if not problems:
        problems.append(f"{verb} as recorded, as far as that is known: {result.unknown} B are missing in the recording")
    return "; ".join(problems)


def _describe_difference(result: ReplayResult, difference: Difference, verb: str) -> str:
    """Describe where the bytes differ."""
    offset, before, recorded, got = difference
    if not got:
        how = f"and {_ENDED[result.ended]}"
        if result.ended is None and result.late is not None:
            how = f"and then nothing for {result.late.timeout_s:g}s"
        return f"{verb} {result.received} B {how}; recorded: {result.expected} B"
    if not recorded:
        return f'{verb} more than the {offset} B recorded: "{escape(got)}"'
    recorded_text, got_text = escape(before + recorded), escape(before + got)
    return f'differs at byte {offset} of what it {verb}: recorded "{recorded_text}" got "{got_text}"'


def _describe_shortfall(result: ReplayResult) -> str:
    if result.stalled_s is not None:
        return f"took nothing for {result.stalled_s:g}s after {result.sent} of {result.to_send} B were sent"
    return f"{_ENDED[result.ended]} after {result.sent} of {result.to_send} B were sent"
