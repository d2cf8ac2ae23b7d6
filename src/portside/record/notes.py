"""The notes of a recording, which are about the recording itself: JSON in entries of connection 0."""

import json

from portside.json_text import encode_json
from portside.record.clock import ClockStep
from portside.record.index import Run
from portside.record.segment import Entry

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
        fields = {**json.loads(entry.data)}
        if _CLOCK_KEY in fields:
            return ClockStep(entry.at, int(fields[_CLOCK_KEY]))
        fields["outbound"] = fields.pop(_OUTBOUND_KEY, False)
        return Run(**{name: fields[name] for name in Run._fields if name in fields})
    except (ValueError, TypeError, KeyError):
        return None
