"""What came of a replay, and its words for a person."""

from typing import NamedTuple

import msgspec

from portside.client.script import Ending, Role
from portside.wire.compare import Difference
from portside.wire.escaping import visible

_ENDED = {"closed": "closed in order", "reset": "reset the connection", None: "did not close"}


class Late(NamedTuple):
    """A wait that was given up: what had arrived (bytes), what was due, and how long nothing had moved."""

    arrived: int
    due: int
    timeout_s: float


class Played(msgspec.Struct, frozen=True, kw_only=True):
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
    late: Late | None
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


def words(played: Played, role: Role) -> str:
    """The result as one line: ``answered as recorded: 120 B sent, 3400 B received``."""
    said = "answered" if role == "client" else "sent"
    if played.as_recorded:
        return f"{said} as recorded: {played.sent} B sent, {played.received} B received"
    wrong = []
    if played.difference is not None:
        wrong.append(_difference_words(played, played.difference, said))
    if played.sent < played.to_send:
        wrong.append(_taken_words(played))
    elif played.difference is None and played.ended_recorded not in (None, played.ended):
        wrong.append(f"{said} as recorded, but {_ENDED[played.ended]}; recorded: it {_ENDED[played.ended_recorded]}")
    elif played.difference is None and played.late is not None:
        arrived, due, timeout_s = played.late
        wrong.append(f"{said} late: {arrived} of {due} B, then nothing for {timeout_s:g}s")
    if not wrong:
        wrong.append(f"{said} as recorded, as far as that is known: {played.unknown} B are missing in the recording")
    return "; ".join(wrong)


def _difference_words(played: Played, difference: Difference, said: str) -> str:
    """Where the bytes differ."""
    offset, before, recorded, got = difference
    if not got:
        how = f"and {_ENDED[played.ended]}"
        if played.ended is None and played.late is not None:
            how = f"and then nothing for {played.late.timeout_s:g}s"
        return f"{said} {played.received} B {how}; recorded: {played.expected} B"
    if not recorded:
        return f'{said} more than the {offset} B recorded: "{visible(got)}"'
    recorded_text, got_text = visible(before + recorded), visible(before + got)
    return f'differs at byte {offset} of what it {said}: recorded "{recorded_text}" got "{got_text}"'


def _taken_words(played: Played) -> str:
    if played.stalled_s is not None:
        return f"took nothing for {played.stalled_s:g}s after {played.sent} of {played.to_send} B were sent"
    return f"{_ENDED[played.ended]} after {played.sent} of {played.to_send} B were sent"
