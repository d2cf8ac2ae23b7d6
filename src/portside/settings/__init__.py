"""All options, each defined once: name, type, unit, default and help.

Each command has a module with a settings class; the command line and the reference pages are made from these, so an
option is spelled here and nowhere else. A field is an option (``option``, ``flag``, ``switch``) or a positional
argument (``argument``); its value is read by ``parse``, which raises ``InvalidValue`` where the text is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from inspect import get_annotations
from typing import Any, NamedTuple


class OptionSpec(NamedTuple):
    """The command-line syntax of one setting."""

    flags: tuple[str, ...]  # empty: a positional argument
    help: str
    group: str
    parse: Callable[[str], Any] = str
    metavar: str | None = None  # None: takes no value
    choices: tuple[str, ...] | None = None
    repeat: bool = False  # may be given several times; the value is a tuple
    negatable: bool = False  # has a --no- form as well
    default_help: str = ""  # how the default reads, where the value itself says too little
    excludes: tuple[str, ...] = ()  # flags that may not be given beside it, see settings.relations
    requires: tuple[str, ...] = ()  # flags without which it means nothing
    requires_one: tuple[str, ...] = ()  # flags of which one has to be given
    why: Mapping[str, str] = {}  # the hint where a relation is violated, by the other flag
    parse_all: Callable[[tuple[str, ...]], Any] | None = None  # reads all words of an argument together
    bare: str | None = None  # the value where the option is given without one; None: it needs one


class Example(NamedTuple):
    """A task and the command line that does it; three of them end the help of a command, from its ``examples``."""

    task: str
    command: str


class Written:
    """Base of settings of which is known which options were written on a command line: one may be given its default."""

    flags_written: frozenset[str] = frozenset()  # --format, -C … as they stood there; no field of a dataclass


def argument(
    metavar: str,
    parse: Callable[[str], Any],
    help: str,  # noqa: A002
    *,
    parse_all: Callable[[tuple[str, ...]], Any] | None = None,
) -> Any:
    """The positional arguments, any number of them: a tuple. ``parse_all`` reads them together."""
    spec = OptionSpec((), help, "", parse, metavar, repeat=True, parse_all=parse_all)
    return field(default=(), metadata={"spec": spec})


def option(
    *flags: str,
    parse: Callable[[str], Any] = str,
    default: Any = None,
    metavar: str,
    help: str,  # noqa: A002
    group: str,
    choices: tuple[str, ...] | None = None,
    default_help: str = "",
    excludes: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    bare: str | None = None,
) -> Any:
    """An option that takes a value; with ``bare`` it may also stand without one, and means that."""
    spec = OptionSpec(
        flags, help, group, parse, metavar, choices,
        default_help=default_help, excludes=excludes, requires=requires, bare=bare,
    )  # fmt: skip
    return field(default=default, metadata={"spec": spec})


def options(
    *flags: str,
    parse: Callable[[str], Any] = str,
    metavar: str,
    help: str,  # noqa: A002
    group: str,
    excludes: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
) -> Any:
    """An option that takes a value and may be given several times: a tuple, empty by default."""
    spec = OptionSpec(flags, help, group, parse, metavar, repeat=True, excludes=excludes, requires=requires)
    return field(default=(), metadata={"spec": spec})


def flag(
    *flags: str,
    help: str,  # noqa: A002
    group: str,
    excludes: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    requires_one: tuple[str, ...] = (),
    why: Mapping[str, str] | None = None,
) -> Any:
    """An option without a value: False, or True where it is given."""
    spec = OptionSpec(
        flags, help, group, excludes=excludes, requires=requires, requires_one=requires_one, why=why or {}
    )
    return field(default=False, metadata={"spec": spec})


def switch(
    flag: str,
    help: str,  # noqa: A002
    group: str,
    *,
    default_help: str,
    excludes: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
) -> Any:
    """An option with a ``--no-`` form: None where neither is given."""
    spec = OptionSpec(
        (flag,), help, group, negatable=True, default_help=default_help, excludes=excludes, requires=requires
    )
    return field(default=None, metadata={"spec": spec})


def option_specs(settings: type) -> list[tuple[str, OptionSpec, Any]]:
    """The settings of a class in their order, those that commands share last: (name, spec, default)."""
    own = get_annotations(settings)
    ordered = sorted(fields(settings), key=lambda each: each.name not in own)
    return [(each.name, each.metadata["spec"], each.default) for each in ordered]


def examples_of(settings: type) -> tuple[Example, ...]:
    """The examples of a command, which its settings class has beside the options."""
    examples: tuple[Example, ...] = settings.examples  # type: ignore[attr-defined]
    return examples
