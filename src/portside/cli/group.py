"""Commands with subcommands: ``portside rec …``, ``portside rules …``."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from portside.cli.misspelt import no_such_command
from portside.cli.parser import example_lines, hanging, load_settings, plain
from portside.errors import UsageError

Run = Callable[[Any], int]


def run_one(name: str, commands: Mapping[str, type], runs: Mapping[str, Run], arguments: list[str]) -> int:
    """Run the subcommand that the arguments begin with; the exit status."""
    match arguments:
        case []:
            sys.stderr.write(group_help(name))
            return 2
        case ["-h" | "--help" | "help"]:
            sys.stdout.write(group_help(name))
            return 0
        case [command, *rest] if command in commands:
            return runs[command](load_settings(commands[command], f"{name} {command}", rest))
        case [command, *_]:
            raise no_such_command(name, command, commands)
    raise AssertionError


def group_help(name: str) -> str:
    """The help of a command that has subcommands."""
    from portside.settings.commands import GROUPS  # imports the settings of all commands, and is needed for help alone

    group = GROUPS[name]
    width = max(11, *(len(each) + 2 for each in group.commands))
    lines = [hanging(f"  {command:<{width}}", plain(kind.__doc__ or "")) for command, kind in group.commands.items()]
    return (
        f"usage: portside {name} {group.usage}\n\n{group.about}\n\n{''.join(lines)}\n"
        f"`portside {name} COMMAND --help` tells its options, `portside help {name}` more.\n\n"
        f"{example_lines(group.examples)}"
    )


def check_arguments(command: str, given: tuple[str, ...], expected: str) -> tuple[str, ...]:
    """Check that there is one argument for each name in ``expected`` (``DIR CONN``). Raises UsageError."""
    if len(given) != len(expected.split()):
        raise UsageError(command, f"it takes {expected}", f"see portside {command} --help")
    return given
