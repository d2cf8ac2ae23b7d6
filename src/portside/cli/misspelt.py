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


def no_such_command(group: str, word: str, commands: Iterable[str]) -> UsageError:
    """The error for a command that does not exist; ``group`` is ``rec``, ``rules`` or ``ctl`` for a subcommand."""
    from portside.cli.habits import command_habit  # needed where something is wrong, and loaded only then

    commands = list(commands)
    hint = command_habit(group, word)
    if hint is None and group in ("rec", "rules"):
        hint = _command_on_file(group, word, commands[0])
    if hint is None:
        near = nearest(word, commands)
        hint = f"did you mean {near}?" if near else f"see {f'portside {group}'.rstrip()} --help"
    why = "no such option" if word.startswith("-") else "no such command"
    return UsageError(f"{group} {word}".lstrip(), why, hint)


def _command_on_file(group: str, word: str, first: str) -> str | None:
    """The first command of a group, on the file or folder that was given in place of one."""
    import os
    import shlex

    return f"portside {group} {first} {shlex.quote(word)}" if os.path.exists(word) else None


def check_options(command: str, specs: Sequence[OptionSpec], arguments: Sequence[str]) -> frozenset[str]:
    """The flags that were given, as they were written. Raises UsageError for the first one that does not exist."""
    takes_value = _flags(specs)
    given: set[str] = set()
    words = iter(arguments)
    waiting = False  # the option before waits for its value
    for word in words:
        if word == "--":
            break
        if waiting or not word.startswith("-") or word == "-":
            waiting = False
        elif word.startswith("--"):
            flag, equals, _ = word.partition("=")
            if flag not in takes_value:
                raise _no_such_option(command, flag, takes_value)
            given.add(flag)
            waiting = takes_value[flag] and not equals
        else:
            waiting = _check_letters(command, word, takes_value, given)
    return frozenset(given)


def _check_letters(command: str, word: str, takes_value: dict[str, bool], given: set[str]) -> bool:
    """Check options of one letter in one word, ``-zv`` or ``-w5``; whether the last of them waits for its value."""
    for at, letter in enumerate(word[1:], 2):
        flag = f"-{letter}"
        if flag not in takes_value:
            raise _no_such_letter(command, flag, word, takes_value)
        given.add(flag)
        if takes_value[flag]:
            return at == len(word)
    return False


def _no_such_letter(command: str, flag: str, word: str, known: Iterable[str]) -> UsageError:
    """The error for a letter in a word of several, unless the word as a whole is an option with a dash too few."""
    longer = [each for each in known if each.startswith(f"-{word}")]
    if len(word) > 3 and longer:
        return UsageError(command, f"there is no option {word}", f"did you mean {longer[0]}?")
    return _no_such_option(command, flag, known, "" if word == flag else f" (in {word})")


def _no_such_option(command: str, flag: str, known: Iterable[str], where: str = "") -> UsageError:
    if flag in _UDP:
        return UsageError(command, f"{flag}: {_TCP_ONLY}")
    from portside.cli.habits import option_habit

    hint = option_habit(command, flag)
    if hint is None:
        near = nearest(flag, known) if flag.startswith("--") else None
        hint = f"did you mean {near}?" if near else f"see portside {command} --help"
    return UsageError(command, f"there is no option {flag}{where}", hint)


def _flags(specs: Sequence[OptionSpec]) -> dict[str, bool]:
    """Each flag, and whether a value must follow it."""
    flags = {"-h": False, "--help": False, "-V": False, "--version": False}
    for spec in specs:
        for flag in spec.flags:
            flags[flag] = spec.metavar is not None and spec.bare is None
            if spec.negatable:
                flags[f"--no-{flag.removeprefix('--')}"] = False
    return flags
