"""The argument parser, made from the settings; argparse, because it loads fast and needs no other package."""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from portside.cli.misspelt import check_options
from portside.errors import InvalidValue, UsageError
from portside.nearest import nearest
from portside.settings import Example, OptionSpec, Written, examples_of, option_specs
from portside.settings.relations import check_relations, describe_relations
from portside.settings.values import LOG_LEVELS
from portside.version import __version__

Settings = TypeVar("Settings")
MOST_CHOICES = 40  # characters
EXAMPLES = "Examples:\n"


class _ArgumentParser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        message = message.replace("expected one argument", "a value is missing")
        raise UsageError(self.prog.removeprefix("portside "), message, f"see {self.prog} --help")


def parse(settings: type[Settings], name: str, arguments: Sequence[str]) -> Settings:
    """Read a command's arguments into its settings.

    Raises UsageError where they are wrong; prints the help and exits where that is asked for.
    """
    specs = option_specs(settings)
    arguments = _join_sort_columns(arguments)
    flags = check_options(name, [spec for _, spec, _ in specs], arguments)
    parser = make_parser(settings, name)
    # Intermixed parsing forgets that all after -- are arguments.
    read = parser.parse_args if "--" in arguments else parser.parse_intermixed_args
    values = vars(read(arguments))
    given = {}
    for field, spec, default in specs:
        value = values[field]
        if spec.repeat:
            value = tuple(value or ()) or default
        if spec.parse_all is not None and value:
            try:
                value = spec.parse_all(value)
            except InvalidValue as problem:
                raise UsageError(name, str(problem), f"see portside {name} --help") from None
        given[field] = value
    made = settings(**given)
    if isinstance(made, Written):
        object.__setattr__(made, "flags_written", flags)  # past the guard of a frozen dataclass, for nobody has it yet
    check_relations(name, made, flags)
    return made


def _join_sort_columns(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--sort -COLUMN`` as one word: argparse would take the column for an option."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1] == "--sort" and len(word) > 1 and word[0] == "-" and word[1] != "-":
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def load_settings(settings: type[Settings], name: str, arguments: Sequence[str]) -> Settings:
    """``parse``, and the log as ``--log-level`` or the environment variable PORTSIDE_LOG want it."""
    loaded = parse(settings, name, arguments)
    level = getattr(loaded, "log_level", None)
    if level is None:
        level = os.environ.get("PORTSIDE_LOG") or "off"
        if level not in LOG_LEVELS:
            raise UsageError("PORTSIDE_LOG", f"{level!r} is none of {', '.join(LOG_LEVELS)}")
    if level != "off":
        from portside.app.log_output import start_logging

        start_logging(level)
    return loaded


def make_parser(settings: type, name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = _ArgumentParser(
        prog=f"portside {name}",
        description=plain(settings.__doc__ or ""),
        allow_abbrev=False,
        add_help=False,
        epilog=example_lines(examples_of(settings)),
        formatter_class=_formatter,
    )
    groups: dict[str, Any] = {"": parser}
    relations = describe_relations(settings)
    for field, spec, default in option_specs(settings):
        group = groups.get(spec.group)
        if group is None:
            group = groups[spec.group] = parser.add_argument_group(spec.group)
        _add(group, field, spec, default, relations.get(field, ""))
    last = parser.add_argument_group("Help")
    last.add_argument("-h", "--help", action="help", help="show this and exit")
    last.add_argument("-V", "--version", action="version", version=f"portside {__version__}", help="the version")
    return parser


def plain(docstring: str) -> str:
    """A docstring as text for a terminal: without the marks of code in it."""
    return docstring.strip().replace("``", "`")


def hanging(head: str, text: str) -> str:
    """A head and its text beside it, in lines as wide as the terminal; each ends with a line feed."""
    from textwrap import fill

    return fill(text, _width(), initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False) + "\n"


def example_lines(examples: Iterable[Example]) -> str:
    """The examples that end a help: a heading, and two lines for each; the last ends with a line feed."""
    return EXAMPLES + "".join(hanging("  ", f"{each.task}:") + f"    {each.command}\n" for each in examples)


class _HelpFormatter(argparse.HelpFormatter):
    """A HelpFormatter that leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return _HelpFormatter(prog, max_help_position=34, width=_width())


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


def _add(group: Any, field: str, spec: OptionSpec, default: object, relations: str) -> None:
    words = spec.help.replace("%", "%%")
    if spec.choices and _choices(spec) == spec.metavar:
        words += f": {', '.join(spec.choices)}"
    if relations:
        words += f" ({relations})"
    if default_words := default_of(spec, default):
        words += f" (default: {default_words})"
    if not spec.flags:
        group.add_argument(field, nargs="*", metavar=spec.metavar, type=_reader(spec), help=words, default=())
    elif spec.negatable:
        group.add_argument(*spec.flags, dest=field, action=argparse.BooleanOptionalAction, default=default, help=words)
    elif spec.metavar is None:
        group.add_argument(*spec.flags, dest=field, action="store_true", help=words)
    else:
        group.add_argument(
            *spec.flags,
            dest=field,
            action="append" if spec.repeat else "store",
            nargs=None if spec.bare is None else "?",
            const=None if spec.bare is None else spec.parse(spec.bare),
            metavar=_choices(spec) if spec.choices else spec.metavar,
            type=_reader(spec),
            default=None if spec.repeat else default,
            help=words,
        )


def _choices(spec: OptionSpec) -> str | None:
    """The choices in place of the value's name where they are few; many are named in the help of the option."""
    choices = "|".join(spec.choices or ())
    return choices if len(choices) <= MOST_CHOICES else spec.metavar


def _reader(spec: OptionSpec) -> Callable[[str], Any]:
    """The option's ``parse`` as argparse calls it with the text of a value, with errors in argparse's form."""

    def read(text: str) -> Any:
        if spec.choices is not None and text not in spec.choices:
            near = nearest(text, spec.choices)
            raise argparse.ArgumentTypeError(
                f"{text!r} is none of {', '.join(spec.choices)}" + (f"; did you mean {near}?" if near else "")
            )
        try:
            return spec.parse(text)
        except InvalidValue as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return read


def default_of(spec: OptionSpec, default: object) -> str:
    """A default as the help and the reference show it; empty where there is none."""
    if spec.default_help:
        return spec.default_help
    return "" if default in (None, False, ()) else str(default)
