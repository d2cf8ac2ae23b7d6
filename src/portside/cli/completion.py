"""``portside completion SHELL``: what a shell completes, made from the settings by shtab.

The script is static: at TAB nothing of Portside runs, but where a number of a running server is asked for.
"""

import argparse
from collections.abc import Iterable
from typing import Any, Final

import shtab

from portside.app.documentation import SUBJECTS, finding_codes
from portside.app.stdout import write_stdout
from portside.cli.group import check_arguments
from portside.cli.parser import make_parser
from portside.cli.shell_functions import CONNECTIONS, RECORDED, SERVERS
from portside.diagnosis.registry import RULES
from portside.settings import OptionSpec, option_specs
from portside.settings.commands import COMMANDS, GROUPS
from portside.settings.completion import SHELLS, Completion

_PATHS: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "PATH": shtab.FILE}


def run(settings: Completion) -> int:
    """Write the script of a shell; the exit status."""
    (shell,) = check_arguments("completion", settings.shell, "SHELL")
    write_stdout([completion_script(shell).encode()])
    return 0


def completion_script(shell: str) -> str:
    """The script of a shell."""
    script: str = shtab.complete(_everything(), shell, root_prefix="_portside")
    # shtab completes the first of any number of arguments alone in zsh.
    return script.replace('"(*)::', '"*:') if shell == "zsh" else script


def _everything() -> argparse.ArgumentParser:
    """One parser with all commands."""
    root = argparse.ArgumentParser(prog="portside", description="A TCP endpoint you can see into")
    root.add_argument("-V", "--version", action="version", version="", help="the version")
    commands = root.add_subparsers()
    for name, settings in COMMANDS.items():
        _add(commands, name, name, settings)
    for word, group in GROUPS.items():
        subcommands = commands.add_parser(word, help=group.about).add_subparsers()
        for name, settings in group.commands.items():
            _add(subcommands, name, f"{word} {name}", settings)
    return root


def _add(commands: Any, name: str, full_name: str, settings: type) -> None:
    parser = make_parser(settings, full_name)
    about = (settings.__doc__ or "").strip().partition("\n")[0]
    added = commands.add_parser(name, parents=[parser], add_help=False, help=about.replace("%", "%%"))
    specs = {field: spec for field, spec, _ in option_specs(settings)}
    for action in added._actions:  # noqa: SLF001 -- shtab reads them too: argparse has no other way to list its actions
        if action.dest in specs:
            _complete(action, full_name, specs[action.dest])


def _complete(action: Any, command: str, spec: OptionSpec) -> None:
    """Say what stands for the value of an option or an argument."""
    words = (spec.metavar or "").split()
    if spec.choices:
        action.choices = list(spec.choices)
    elif words == ["SHELL"]:
        action.choices = list(SHELLS)
    elif words == ["CODE"]:
        action.choices = sorted(rule.code for rule in RULES)
    elif words and words[0] == "CONN" and command.startswith("ctl "):
        action.complete = CONNECTIONS
    elif "--server" in spec.flags or (command == "console" and not spec.flags):
        action.complete = SERVERS
    elif spec.metavar in ("DIR CONN", "DIR CONN ADDRESS", "DIR:CONN"):
        action.complete = RECORDED
    elif words == ["TOPIC"]:
        action.choices = [*COMMANDS, *GROUPS, *SUBJECTS, *finding_codes()]
    else:
        for each in _kinds(words):
            action.complete = _PATHS[each]


def _kinds(words: Iterable[str]) -> list[str]:
    """The first kind of path among the words of a metavar."""
    return [word for word in words if word in _PATHS][:1]
