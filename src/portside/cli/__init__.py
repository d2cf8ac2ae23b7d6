"""The command line; the modules of a command are imported only when the command runs."""

# ruff: noqa: E402
import gc
import signal

# First of all: until a command handles it, Ctrl-C ends the process quietly. Python's own way would be a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# A command loads some 30,000 objects that stay, and the collector would pass over them again and again: 6 % of a start.
# What comes later leaves hardly any cycles.
gc.set_threshold(50_000, 20, 100)

import os
import sys
from collections.abc import Sequence

from portside.cli.parser import example_lines, hanging, load_settings
from portside.cli.standard_error import EscapedStandardError
from portside.errors import Hint, PortsideError, reason_of

COMMANDS = {
    "listen": "a TCP server for any number of clients that shows what each of them sends",
    "connect": "standard input to a peer, the peer to standard output",
    "console": "a running server in the terminal or on a page: its connections, live, and acts on them",
    "rec": "recordings: list, show, export, replay, compare and check them",
    "ctl": "act on a running server: see its clients, answer, slow, pause, close, break them",
    "rules": "rules for what a server answers: check a file, test it with a transcript",
    "watch": "the kernel's own view of every TCP connection here: states, queues, programs",
    "diagnose": "what is wrong, in words: what, whose fault it is, how one knows, what to do",
    "lab": "conditions of TCP made for real, to look at: leaks, full queues, closed windows, loss",
    "fleet": "many machines: their connections, what closed, what is wrong, from what agents publish",
    "load": "load on a server, honestly measured: rates, latencies, and who held it back",
    "agent": "the connections of this machine, and what is wrong with them, published to NATS JetStream",
    "help": "the pages of the documentation: of commands, of subjects, of findings",
    "completion": "a script by which bash, zsh or fish completes all this",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status: 0 success, 1 it failed, 2 wrong usage."""
    try:
        _keep_standard_descriptors()
        sys.stderr = EscapedStandardError()
        status = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except PortsideError as error:
        if os.environ.get("PORTSIDE_DEBUG"):
            raise
        _fail(str(error), error.hint)
        status = error.status
    except OSError as error:
        if os.environ.get("PORTSIDE_DEBUG"):
            raise
        _fail(f"{error.filename or 'the run'}: {reason_of(error)}", None)
        status = 1
    except Exception as error:
        if os.environ.get("PORTSIDE_DEBUG"):
            raise
        _fail(f"internal error: {type(error).__name__}: {error}", "PORTSIDE_DEBUG=1 shows where; please report it")
        status = 1
    _let_go_of_standard_error()
    sys.exit(status)


def _let_go_of_standard_error() -> None:
    """Put /dev/null behind standard error where its reader has gone (`2>&1 | head`): the exit status would be 120."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _run(arguments: list[str]) -> int:
    match arguments:
        case []:
            sys.stderr.write(_help())
            return 2
        case ["-h" | "--help"]:
            sys.stdout.write(_help())
            return 0
        case ["-V" | "--version"]:
            from portside.version import __version__

            sys.stdout.write(f"portside {__version__}\n")
            return 0
        case ["listen", *rest]:
            from portside.cli import listen
            from portside.settings.listen import Listen

            return listen.run(load_settings(Listen, "listen", rest))
        case ["connect", *rest]:
            from portside.cli import connect
            from portside.settings.connect import Connect

            return connect.run(load_settings(Connect, "connect", rest))
        case ["console", *rest]:
            from portside.cli import console
            from portside.settings.console import Console

            return console.run(load_settings(Console, "console", rest))
        case ["rec", *rest]:
            from portside.cli import rec

            return rec.run(rest)
        case ["ctl", *rest]:
            from portside.cli import ctl

            return ctl.run(rest)
        case ["rules", *rest]:
            from portside.cli import rules

            return rules.run(rest)
        case ["watch", *rest]:
            from portside.cli import watch
            from portside.settings.watch import Watch

            return watch.run(load_settings(Watch, "watch", rest))
        case ["diagnose", *rest]:
            from portside.cli import diagnose
            from portside.settings.diagnose import Diagnose

            return diagnose.run(load_settings(Diagnose, "diagnose", rest))
        case ["agent", *rest]:
            from portside.cli import agent
            from portside.settings.agent import Agent

            return agent.run(load_settings(Agent, "agent", rest))
        case ["lab", *rest]:
            from portside.cli import lab
            from portside.settings.lab import Lab

            return lab.run(load_settings(Lab, "lab", rest))
        case ["fleet", *rest]:
            from portside.cli import fleet

            return fleet.run(rest)
        case ["load", *rest]:
            from portside.cli import load
            from portside.settings.load import Load

            return load.run(load_settings(Load, "load", rest))
        case ["completion", *rest]:
            from portside.cli import completion
            from portside.settings.completion import Completion

            return completion.run(load_settings(Completion, "completion", rest))
        case ["help", *rest]:
            from portside.cli import help as help_command
            from portside.settings.help import Help

            return help_command.run(load_settings(Help, "help", rest), COMMANDS)
        case [name, *_]:
            from portside.cli.misspelt import no_such_command

            raise no_such_command("", name, COMMANDS)
    raise AssertionError


def _help() -> str:
    from portside.settings.commands import EXAMPLES

    lines = [hanging(f"  {name:<12}", words) for name, words in COMMANDS.items()]
    return (
        f"usage: portside COMMAND …\n\nA TCP endpoint you can see into.\n\n{''.join(lines)}\n"
        "`portside COMMAND --help` tells its options, `portside help` the pages to read,\n"
        f"`portside --version` the version.\n\n{example_lines(EXAMPLES)}"
    )


def _fail(words: str, hint: Hint) -> None:
    from portside.app.notices import notice_text

    sys.stderr.write(notice_text(words, hint))


def _keep_standard_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, so that no socket becomes standard output."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
