"""Keyword arguments as settings: each is an option of the command line, as its text or as a value of its type."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from portside.errors import InvalidValue, UsageError
from portside.nearest import nearest
from portside.settings import OptionSpec, Written, option_specs
from portside.settings.relations import check_relations

Settings = TypeVar("Settings", bound=Written)

NOT_IN_LISTEN = frozenset(
    {"format", "stdin", "send_only", "recv_only", "crlf", "once", "handler", "drain", "tui"}
    | {"web", "web_read_only", "web_tls", "web_tls_cert", "web_tls_key", "no_control", "log_level"}
)
"""Settings of ``listen`` that are about standard input and output, signals, and consoles of a process."""

NOT_IN_CONNECT = frozenset(
    {"scan", "send_only", "recv_only", "crlf", "exec", "sh_exec", "no_shutdown", "format", "verbose", "log_level"}
)
"""Settings of ``connect`` that are about standard input and output, or about something else than one connection."""


def make_settings(
    kind: type[Settings],
    command: str,
    keywords: Mapping[str, Any],
    *,
    without: frozenset[str],
    also: Mapping[str, Any],
    flags: Iterable[str] = (),
) -> Settings:
    """The settings of a command from keyword arguments.

    ``also`` are settings that are no keywords, and ``flags`` options that count as given. None stands for an option
    that is not given, or for its ``off`` or ``forever``. Raises UsageError, as for the command line.
    """
    specs = {name: (spec, default) for name, spec, default in option_specs(kind) if spec.flags and name not in without}
    given: dict[str, Any] = {}
    written = set(flags)
    for name, value in keywords.items():
        if name not in specs:
            near = nearest(name, specs)
            raise UsageError(command, f"there is no option {name}", f"did you mean {near}?" if near else None)
        spec, default = specs[name]
        if value is None and default is None:
            continue
        try:
            given[name] = _value(spec, value, takes_none=type(None) in get_args(kind.__annotations__[name]))
        except InvalidValue as problem:
            raise UsageError(command, f"argument {'/'.join(spec.flags)}: {problem}") from None
        if given[name] is False and not spec.negatable:
            continue
        if spec.repeat and not given[name]:
            continue
        flag = spec.flags[-1]
        written.add(f"--no-{flag[2:]}" if spec.negatable and given[name] is False else flag)
    made = kind(**given, **also)
    object.__setattr__(made, "flags_written", frozenset(written))  # past the guard of a frozen dataclass, as the parser
    check_relations(command, made, frozenset(written))
    return made


def _value(spec: OptionSpec, value: Any, *, takes_none: bool) -> Any:
    if spec.metavar is None:
        if not isinstance(value, bool):
            raise InvalidValue(f"{value!r} is neither True nor False")
        return value
    if not spec.repeat:
        return _one(spec, value, takes_none=takes_none)
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        value = [value]
    return tuple(_one(spec, each, takes_none=False) for each in value)


def _one(spec: OptionSpec, value: Any, *, takes_none: bool) -> Any:
    """One value: text is read as on the command line, and so are numbers, which keeps them to the same bounds."""
    if value is None and takes_none:
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool):
        raise InvalidValue(f"{value!r} is no {spec.metavar}")
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise InvalidValue(f"{value!r} is no {spec.metavar}")
        if spec.flags[-1].endswith("-mode") and isinstance(value, int):
            value = f"{value:o}"  # 0o600, written in octal
        else:
            value = f"{value:f}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        if spec.choices is not None and value not in spec.choices:
            raise InvalidValue(f"{value!r} is none of {', '.join(spec.choices)}")
        return spec.parse(value)
    if isinstance(value, bytes | bytearray):
        if spec.metavar != "TEXT":
            raise InvalidValue(f"{value!r} is no {spec.metavar}")
        return bytes(value)
    if isinstance(value, list | tuple) and spec.metavar == "LIST":
        return spec.parse(",".join(value))
    if type(value).__module__.startswith("portside."):
        return value  # a value of the option's own type, as parse returns it
    raise InvalidValue(f"{value!r} is no {spec.metavar}")
