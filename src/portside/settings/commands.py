"""All commands: their settings by name, and the groups that subcommands belong to.

For what deals with all of them: completion, man pages, the reference. A command that runs imports its own module alone.
"""

from collections.abc import Mapping
from typing import NamedTuple

from portside.settings import Example
from portside.settings.agent import Agent
from portside.settings.completion import Completion
from portside.settings.connect import Connect
from portside.settings.console import Console
from portside.settings.ctl import CTL_COMMANDS
from portside.settings.diagnose import Diagnose
from portside.settings.fleet import FLEET_COMMANDS
from portside.settings.help import Help
from portside.settings.lab import Lab
from portside.settings.listen import Listen
from portside.settings.load import Load
from portside.settings.rec import REC_COMMANDS
from portside.settings.rules import RULES_COMMANDS
from portside.settings.watch import Watch


class Group(NamedTuple):
    """Commands that share their first word; ``usage`` is what stands behind it."""

    usage: str
    about: str
    commands: Mapping[str, type]
    examples: tuple[Example, ...]


COMMANDS: Mapping[str, type] = {
    "listen": Listen,
    "connect": Connect,
    "console": Console,
    "watch": Watch,
    "diagnose": Diagnose,
    "lab": Lab,
    "load": Load,
    "agent": Agent,
    "completion": Completion,
    "help": Help,
}
"""Commands without subcommands."""

GROUPS: Mapping[str, Group] = {
    "rec": Group(
        "COMMAND DIR …",
        "What `portside listen --record DIR` kept.",
        REC_COMMANDS,
        (
            Example("keep all that passes on port 9000", "portside listen 9000 --record capture"),
            Example("see whose connections were kept", "portside rec list capture"),
            Example("read one of them", "portside rec show capture 7"),
        ),
    ),
    "ctl": Group(
        "COMMAND …",
        "Act on a running server of this user, without a restart and without root.",
        CTL_COMMANDS,
        (
            Example("see who is connected", "portside ctl conns"),
            Example("answer a client by hand", "portside ctl send 7 'hello\\n'"),
            Example("see what it does at a reset", "portside ctl close 7 --reset"),
        ),
    ),
    "rules": Group(
        "COMMAND FILE …",
        "What `portside listen --rules FILE` answers by.",
        RULES_COMMANDS,
        (
            Example("check a file", "portside rules check device.toml"),
            Example("test it without a network", "portside rules test device.toml device.transcript"),
            Example("answer clients by it", "portside listen 9000 --rules device.toml"),
        ),
    ),
    "fleet": Group(
        "COMMAND …",
        "Many machines at once, from what `portside agent` publishes on each of them.",
        FLEET_COMMANDS,
        (
            Example("make the stream that keeps it, once", "portside fleet init --nats nats://broker:4222"),
            Example("see which machines are there", "portside fleet nodes --nats nats://broker:4222"),
            Example("see what is wrong, and where", "portside fleet findings --nats nats://broker:4222"),
        ),
    ),
}

EXAMPLES = (
    Example("show what each client of port 9000 sends", "portside listen 9000"),
    Example("talk to a server by hand", "portside connect localhost 9000"),
    Example("see the same connections as the kernel does", "portside watch 9000"),
)
"""The examples of ``portside`` itself."""


def all_commands() -> dict[str, type]:
    """Each command with its settings; those of a group by both words: ``rec list``."""
    grouped = {
        f"{name} {command}": settings for name, group in GROUPS.items() for command, settings in group.commands.items()
    }
    return {**COMMANDS, **grouped}
