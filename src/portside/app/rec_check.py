"""``portside rec check``: the report on a recording, as text or as JSON."""

from collections.abc import Iterator

import msgspec

from portside.app.rec_notices import Progress
from portside.app.stdout import write_lines, write_stdout
from portside.json_text import encode_json
from portside.record.check import check
from portside.record.report import CheckReport
from portside.units import counted

_MOST_LINES = 20  # of each kind for a person; JSON has them all


def run(path: str, progress: Progress, *, json: bool) -> int:
    """Check the recording; the exit status, 1 where something of it is damaged or missing. Raises PortsideError."""
    with progress as on_progress:
        report = check(path, on_progress)
    if json:
        write_stdout([encode_json({**msgspec.structs.asdict(report), "whole": report.whole}) + b"\n"])
    else:
        write_lines(_lines(report))
    return 0 if report.whole else 1


def _lines(report: CheckReport) -> Iterator[str]:
    live = ", as far as the index of its running server knows them" if report.live else ""
    yield (
        f"{counted(report.segments, 'segment')}, {counted(report.blocks, 'whole block')} of "
        f"{counted(report.connections, 'connection')}, {report.bytes} B{live}"
    )
    for torn, words in ((False, "damaged"), (True, "cut off")):
        places = [each for each in report.found if each.torn == torn]
        spots = [f"segment {each.segment}, {each.length} B at {each.offset}" for each in places]
        yield from _some([f"{spot}: {words}: {each.why}" for spot, each in zip(spots, places, strict=True)])
    yield from _some([f"segment {number} is missing" for number in report.missing])
    lost = [f"connection {each.conn}: {each.received} B in and {each.sent} B out" for each in report.incomplete]
    yield from _some([f"{words} are missing" for words in lost])
    if report.incomplete and report.may_be_given_up:
        yield "room was given back (--record-max), so these bytes may have been given up in order"
    if report.index_error is not None:
        yield f"the index cannot be used: {report.index_error}"
    if report.unknown or report.absent:
        unknown, absent = counted(len(report.unknown), "block"), counted(len(report.absent), "block")
        yield f"the index does not know {unknown} in the segments, and points at {absent} that the segments have not"
    if report.rebuilt:
        aside = f"; the old one is {report.aside}" if report.aside else ""
        yield f"the index was made anew from the segments{aside}"
        yield from _some([f"not in the new index: {words}" for words in report.not_rebuilt])
    if report.rebuild_error is not None:
        yield f"the index cannot be made anew: {report.rebuild_error}"
    yield "all whole" if report.whole else "not whole"


def _some(lines: list[str]) -> Iterator[str]:
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"… and {len(lines) - _MOST_LINES} more (--json tells all)"
