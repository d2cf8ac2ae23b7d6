"""The settings of ``portside diagnose``."""

from dataclasses import dataclass
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.settings import Example, argument, flag, option, options
from portside.settings.values import log_level
from portside.units import parse_positive_duration

SEVERITIES = ("info", "warning", "critical")
_LOOK, _SAY, _PAGES = "What is looked at", "What is said", "What can be found"


class Setting(NamedTuple):
    """A threshold that is set to another value: ``CODE.NAME=VALUE``; the value is read by the rule's unit."""

    code: str
    name: str
    value: str


def parse_setting(text: str) -> Setting:
    """Read ``CODE.NAME=VALUE``."""
    left, equals, value = text.partition("=")
    code, dot, name = left.partition(".")
    if not (equals and dot and code and name and value):
        raise InvalidValue(f"{text!r} sets no threshold: write CODE.NAME=VALUE, such as close-wait-leak.age=10s")
    return Setting(code, name, value)


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """The faults of this machine's TCP, in words: what, whose fault, how one knows, what to do."""

    examples = (
        Example("find what is wrong on this machine", "portside diagnose"),
        Example("look at one server for a minute", "portside diagnose --for 1m 'sport = :9000'"),
        Example("read what a finding means, and what to do", "portside diagnose --explain close-wait-leak"),
    )

    filter: tuple[str, ...] = argument(
        "FILTER",
        str,
        "which sockets to look at, as in watch; with one, conditions of the whole machine are left out",
    )
    duration: float = option(
        "--for", metavar="DURATION", parse=parse_positive_duration, default=3.0, default_help="3s", group=_LOOK,
        help="how long to watch before saying what was found", excludes=("--follow",),
    )  # fmt: skip
    follow: bool = flag(
        "--follow", group=_LOOK,
        help="watch until Ctrl-C: a finding is printed when it appears, changes its severity or is gone",
    )  # fmt: skip
    interval: float = option(
        "--interval", metavar="DURATION", parse=parse_positive_duration, default=1.0, default_help="1s", group=_LOOK,
        help="how often to look",
    )  # fmt: skip
    netns: str | None = option(
        "--netns", metavar="NAME|PID|PATH", group=_LOOK,
        help="look into another network namespace, by its name, a process in it or its file",
    )  # fmt: skip
    source: str | None = option(
        "--source", metavar="SOURCE", choices=("netlink", "proc", "psutil"), group=_LOOK,
        help="where the table comes from", default_help="the best one that works",
    )  # fmt: skip
    min_severity: str = option(
        "--min-severity", metavar="SEVERITY", choices=SEVERITIES, default="info", group=_SAY,
        help="leave out what is less severe",
    )  # fmt: skip
    only: tuple[str, ...] = options("--only", metavar="CODE", group=_SAY, help="look for this condition alone")
    ignore: tuple[str, ...] = options("--ignore", metavar="CODE", group=_SAY, help="do not look for this condition")
    thresholds: tuple[Setting, ...] = options(
        "--set", metavar="CODE.NAME=VALUE", parse=parse_setting, group=_SAY,
        help="set a threshold: close-wait-leak.age=10s; --explain CODE names them",
    )  # fmt: skip
    json: bool = flag("--json", help="a JSON object a line for each finding", group=_SAY)
    list: bool = flag(
        "--list", help="every code, with a sentence that says what it means", group=_PAGES,
        excludes=("--follow", "--explain", "--json"),
    )  # fmt: skip
    explain: str | None = option(
        "--explain", metavar="CODE", group=_PAGES, excludes=("--follow", "--json"),
        help="the page of a code: what you see, why it happens, how to prove it, what to do",
    )  # fmt: skip
    log_level: str | None = log_level()
