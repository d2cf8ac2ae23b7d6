"""Notices of the ``rec`` commands on standard error."""

import shlex
from contextlib import AbstractContextManager

from portside.app.notices import write_notice
from portside.record import recovery
from portside.record.recording import Recording

Progress = AbstractContextManager[recovery.Progress]  # shown while it is entered


def notice_damage(recording: Recording) -> None:
    """Write a notice for each damage that an earlier run left, the first time that it is found."""
    for each in recording.found:
        what = "was cut off" if each.torn else "is damaged"
        write_notice(
            f"recording {recording.path}: segment {each.segment} {what} at {each.offset}, {each.length} B: {each.why}"
        )


def open_recording(path: str, progress: recovery.Progress = recovery.no_progress) -> Recording:
    """Open a recording; a notice says where its index cannot be used. Raises PortsideError."""

    def notice_rebuilt(why: str) -> None:
        words = f"recording {path}: the index is not used, but the segments are read: {why}"
        write_notice(words, f"portside rec check {shlex.quote(path)}")

    return Recording(path, progress, notice_rebuilt)
