"""Options and commands that do not exist: which word it is, and the nearest one that exists.

argparse reports the first word that it cannot place, which after an unknown option is that option's value. So options
are looked at before it parses.
"""

from collections.abc import Iterable, Sequence

from portside.errors import UsageError
from portside.nearest import nearest
from portside.settings import OptionSpec

_UDP = ("-u", "--udp")
_TCP_ONLY = "TCP only: there is nothing here about UDP"


def no_such_command(what: str, word: str, commands: Iterable[str], help_command: str) -> UsageError:
    """The error for a command or subcommand that does not exist."""
    near = nearest(word, commands)
    return UsageError(f"{what}{word}", "no such command", f"did you mean {near}?" if near else f"see {help_command}")


def check_options(command: str, specs: Sequence[OptionSpec], arguments: Sequence[str]) -> None:
    """Raise UsageError for the first word that looks like an option and is none."""
    takes_value = _flags(specs)
    words = iter(arguments)
    waiting = False  # the option before waits for its value
    for word in words:
        if word == "--":
            return
        if waiting or not word.startswith("-") or word == "-":
            waiting = False
        elif word.startswith("--"):
            flag, equals, _ = word.partition("=")
            if flag not in takes_value:
                raise _no_such_option(command, flag, takes_value)
            waiting = takes_value[flag] and not equals
        else:
            waiting = _check_letters(command, word, takes_value)


def _check_letters(command: str, word: str, takes_value: dict[str, bool]) -> bool:
    """Check options of one letter in one word, ``-zv`` or ``-w5``; whether the last of them waits for its value."""
    for at, letter in enumerate(word[1:], 2):
        flag = f"-{letter}"
        if flag not in takes_value:
            raise _no_such_option(command, flag if at == 2 or flag in _UDP else word, takes_value)
        if takes_value[flag]:
            return at == len(word)
    return False


def _no_such_option(command: str, flag: str, known: Iterable[str]) -> UsageError:
    if flag in _UDP:
        return UsageError(command, f"{flag}: {_TCP_ONLY}")
    near = nearest(flag, known) if flag.startswith("--") else None
    return UsageError(
        command, f"there is no option {flag}", f"did you mean {near}?" if near else f"see portside {command} --help"
    )


def _flags(specs: Sequence[OptionSpec]) -> dict[str, bool]:
    """Each flag, and whether a value must follow it."""
    flags = {"-h": False, "--help": False, "-V": False, "--version": False}
    for spec in specs:
        for flag in spec.flags:
            flags[flag] = spec.metavar is not None and spec.bare is None
            if spec.negatable:
                flags[f"--no-{flag.removeprefix('--')}"] = False
    return flags
