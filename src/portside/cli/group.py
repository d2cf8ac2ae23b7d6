"""Commands with subcommands: ``portside rec …``, ``portside rules …``."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from portside.cli.misspelt import no_such_command
from portside.cli.parser import hanging, load, plain
from portside.errors import UsageError

Run = Callable[[Any], int]


def run_one(name: str, about: str, commands: Mapping[str, type], runs: Mapping[str, Run], arguments: list[str]) -> int:
    """Run the subcommand that the arguments begin with; the exit status. ``about``: usage and purpose of the group."""
    match arguments:
        case []:
            sys.stderr.write(_help(name, about, commands))
            return 2
        case ["-h" | "--help" | "help"]:
            sys.stdout.write(_help(name, about, commands))
            return 0
        case [command, *rest] if command in commands:
            return runs[command](load(commands[command], f"{name} {command}", rest))
        case [command, *_]:
            raise no_such_command(name, command, commands)
    raise AssertionError


def _help(name: str, about: str, commands: Mapping[str, type]) -> str:
    lines = [hanging(f"  {command:<10}", plain(kind.__doc__ or "")) for command, kind in commands.items()]
    return f"usage: {about}\n\n{''.join(lines)}\n`portside {name} COMMAND --help` tells its options.\n"


def check_arguments(command: str, given: tuple[str, ...], expected: str) -> tuple[str, ...]:
    """Check that there is one argument for each name in ``expected`` (``DIR CONN``). Raises UsageError."""
    if len(given) != len(expected.split()):
        raise UsageError(command, f"it takes {expected}", f"see portside {command} --help")
    return given
