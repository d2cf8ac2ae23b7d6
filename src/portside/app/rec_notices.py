"""What the commands on recordings say beside their data."""

from contextlib import AbstractContextManager

from portside.app.notices import write_notice
from portside.record import recovery
from portside.record.recording import Recording

Progress = AbstractContextManager[recovery.Progress]  # shown while it is entered


def notice_damage(recording: Recording) -> None:
    """Say what an earlier run left damaged, the first time that it is seen."""
    for each in recording.found:
        what = "was cut off" if each.torn else "is damaged"
        write_notice(
            f"recording {recording.path}: segment {each.segment} {what} at {each.offset}, {each.length} B: {each.why}"
        )
