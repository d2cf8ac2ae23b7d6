"""The settings of ``portside lab``."""

from dataclasses import dataclass

from portside.errors import InvalidValue
from portside.settings import Example, argument, flag, option
from portside.units import parse_positive_duration

MOST_S = 3600.0


def parse_hold(text: str) -> float:
    """Read for how long a condition is held, in seconds."""
    seconds = parse_positive_duration(text)
    if seconds > MOST_S:
        raise InvalidValue("a condition is held for an hour at most: write 1h or less")
    return seconds


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A condition of TCP made for real on this machine, to look at with ``watch``, ``ss`` and ``netstat``."""

    examples = (
        Example("see which conditions there are", "portside lab --list"),
        Example("make a leak, to look at it from another terminal", "portside lab close-wait-leak"),
        Example("see whether `diagnose` finds a reader that is too slow", "portside lab receiver-slow --check"),
    )

    code: tuple[str, ...] = argument("CODE", str, "the condition, one of those that --list shows")
    duration: float = option(
        "--for", metavar="DURATION", parse=parse_hold, default=120.0, group="How",
        help="hold the condition for this long, at most 1h; Ctrl-C ends it before", default_help="2m",
        excludes=("--list",),
    )  # fmt: skip
    check: bool = flag(
        "--check", group="How", excludes=("--list",),
        help="run `diagnose` beside it, until it finds the condition: exit status 0, or 1 where it does not",
    )  # fmt: skip
    list: bool = flag("--list", help="every condition in two lines: what it is, and how it is made", group="How")
