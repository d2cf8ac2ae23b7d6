"""The command line, made from the settings: argparse, because it is here before anything else is."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from portside.errors import UsageError, ValueProblem
from portside.settings import Spelling, spellings

Settings = TypeVar("Settings")


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog.removeprefix("portside "), message, f"see {self.prog} --help")


def parse(settings: type[Settings], name: str, arguments: Sequence[str]) -> Settings:
    """Read a command's arguments into its settings.

    Raises UsageError where they are wrong; prints the help and exits where that is asked for.
    """
    parser = make_parser(settings, name)
    # Intermixed parsing forgets that all after -- are arguments.
    read = parser.parse_args if "--" in arguments else parser.parse_intermixed_args
    values = vars(read(arguments))
    given = {}
    for field, spelling, default in spellings(settings):
        value = values[field]
        if spelling.repeat:
            value = tuple(value or ()) or default
        given[field] = value
    return settings(**given)


def make_parser(settings: type, name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = _Parser(
        prog=f"portside {name}",
        description=settings.__doc__,
        allow_abbrev=False,
        add_help=False,
        formatter_class=_formatter,
    )
    groups: dict[str, Any] = {"": parser}
    for field, spelling, default in spellings(settings):
        group = groups.get(spelling.group)
        if group is None:
            group = groups[spelling.group] = parser.add_argument_group(spelling.group)
        _add(group, field, spelling, default)
    last = parser.add_argument_group("Help")
    last.add_argument("-h", "--help", action="help", help="show this and exit")
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=34, width=_width())


def _width() -> int:
    """As argparse asks for it, without the 3 ms that its way to ask takes."""
    try:
        return max(40, int(os.environ.get("COLUMNS", "")) - 2)
    except ValueError:
        pass
    try:
        return max(40, os.get_terminal_size(1).columns - 2)
    except OSError:
        return 78


def _add(group: Any, field: str, spelling: Spelling, default: object) -> None:
    words = spelling.help.replace("%", "%%")
    if default_words := default_of(spelling, default):
        words += f" (default: {default_words})"
    if not spelling.flags:
        group.add_argument(field, nargs="*", metavar=spelling.metavar, type=_reader(spelling), help=words, default=())
    elif spelling.negatable:
        group.add_argument(
            *spelling.flags, dest=field, action=argparse.BooleanOptionalAction, default=default, help=words
        )
    elif spelling.metavar is None:
        group.add_argument(*spelling.flags, dest=field, action="store_true", help=words)
    else:
        group.add_argument(
            *spelling.flags,
            dest=field,
            action="append" if spelling.repeat else "store",
            metavar="|".join(spelling.choices) if spelling.choices else spelling.metavar,
            type=_reader(spelling),
            default=None if spelling.repeat else default,
            help=words,
        )


def _reader(spelling: Spelling) -> Callable[[str], Any]:
    """What argparse calls with the text of a value: our reader, with its words for what is wrong."""

    def read(text: str) -> Any:
        if spelling.choices is not None and text not in spelling.choices:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(spelling.choices)}")
        try:
            return spelling.parse(text)
        except ValueProblem as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return read


def default_of(spelling: Spelling, default: object) -> str:
    """How a default reads in the help and in the reference; empty where there is none to tell."""
    if spelling.default_help:
        return spelling.default_help
    return "" if default in (None, False, ()) else str(default)
