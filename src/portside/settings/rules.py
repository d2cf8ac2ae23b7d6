"""The settings of ``portside rules …``: a class for each of its commands."""

from dataclasses import dataclass

from portside.settings import Example, argument, option
from portside.units import parse_positive_size
from portside.wire.frame import Frame, parse_frame

_HOW = "How messages are cut"


@dataclass(frozen=True, kw_only=True)
class RulesCheck:
    """Read a file of rules: what is wrong with it, or what is in it and what of it can never happen."""

    examples = (
        Example("check a file", "portside rules check device.toml"),
        Example(
            "start the server only where the file is right",
            "portside rules check device.toml && portside listen 9000 --rules device.toml",
        ),
        Example(
            "have a running server, of process 4379, read the file again",
            "portside rules check device.toml && kill -HUP 4379",
        ),
    )

    path: tuple[str, ...] = argument("FILE", str, "the file of rules")


@dataclass(frozen=True, kw_only=True)
class RulesTest:
    """Hold the conversation of a transcript with the rules, without a network: 1 where an answer is otherwise."""

    examples = (
        Example("test a file", "portside rules test device.toml device.transcript"),
        Example(
            "the same with messages that end with ETX",
            "portside rules test device.toml device.transcript --frame delim:03",
        ),
        Example(
            "the same with messages of up to 1 MiB",
            "portside rules test device.toml device.transcript --max-frame 1M",
        ),
    )

    paths: tuple[str, ...] = argument("FILE TRANSCRIPT", str, "the file of rules and the transcript")
    frame: Frame | None = option(
        "--frame", metavar="FRAME", parse=parse_frame, group=_HOW,
        help="as in listen", default_help="as the file says, else lines",
    )  # fmt: skip
    max_frame: int = option(
        "--max-frame", metavar="SIZE", parse=parse_positive_size, default=64 * 1024, group=_HOW,
        help="the longest message; a longer one meets no rule", default_help="64k",
    )  # fmt: skip


RULES_COMMANDS: dict[str, type] = {"check": RulesCheck, "test": RulesTest}
