"""The notes of a recording, which are about the recording itself: JSON in entries of connection 0."""

import json

from portside.json_text import encode_json
from portside.record.clock import ClockStep
from portside.record.event_entry import require_small_json
from portside.record.index import Run
from portside.record.segment import MOST_CONN, MOST_TIME, Entry

_OUTBOUND_KEY = "dialled"  # the names in notes on disk
_CLOCK_KEY = "clock"


def encode_run(run: Run) -> bytes:
    """A run as the data of an entry of the kind NOTE."""
    fields = run._asdict()
    fields[_OUTBOUND_KEY] = fields.pop("outbound")
    return encode_json(fields)


def encode_step(step: ClockStep) -> bytes:
    """A step of the wall clock as the data of an entry of the kind NOTE; the entry has its time."""
    return encode_json({_CLOCK_KEY: step.correction})


def decode_note(entry: Entry) -> Run | ClockStep | None:
    """The run or the step of the wall clock in a note; None for any other, which a later version may write."""
    try:
        require_small_json(entry.data)
        fields = {**json.loads(entry.data)}
        if _CLOCK_KEY in fields:
            return ClockStep(entry.at, _number(fields[_CLOCK_KEY], -MOST_TIME, MOST_TIME))
        limits = {"run": MOST_CONN, "base": MOST_CONN, "began": MOST_TIME, "pid": MOST_TIME}
        numbers = {name: _number(fields[name], 0, most) for name, most in limits.items()}
        return Run(**numbers, version=str(fields["version"]), outbound=fields.get(_OUTBOUND_KEY) is True)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _number(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} cannot be")
    return value
