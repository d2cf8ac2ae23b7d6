"""What the commands on recordings say beside their data."""

from portside.app.say import say
from portside.record.recording import Recording


def say_found(recording: Recording) -> None:
    """Say what an earlier run left damaged, the first time that it is seen."""
    for each in recording.found:
        what = "was cut off" if each.torn else "is damaged"
        say(f"recording {recording.path}: segment {each.segment} {what} at {each.offset}, {each.length} B: {each.why}")
