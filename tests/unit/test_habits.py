"""The words of other tools: each is answered with what does the same here, and what is named there exists."""

import re

import pytest

from portside.cli import COMMANDS, habits
from portside.cli.misspelt import check_options, no_such_command
from portside.errors import UsageError
from portside.settings import option_specs
from portside.settings.connect import Connect
from portside.settings.ctl import CTL_COMMANDS
from portside.settings.listen import Listen
from portside.settings.rec import REC_COMMANDS
from portside.settings.rules import RULES_COMMANDS
from portside.settings.watch import Watch

SETTINGS: dict[str, list[type]] = {
    "listen": [Listen],
    "connect": [Connect],
    "watch": [Watch],
    "rec": list(REC_COMMANDS.values()),
}
GROUPS: dict[str, list[str]] = {
    "": [*COMMANDS],
    "rec": [*REC_COMMANDS],
    "rules": [*RULES_COMMANDS],
    "ctl": [*CTL_COMMANDS],
}


def flags(*classes: type) -> set[str]:
    """All options of some commands, as they may be written."""
    specs = [spec for settings in classes for _, spec, _ in option_specs(settings) if spec.flags]
    return {flag for spec in specs for flag in (*spec.flags, f"--no-{spec.flags[-1][2:]}")}


EVERYWHERE = flags(*(each for settings in SETTINGS.values() for each in settings), *CTL_COMMANDS.values()) | {
    "--version",
    "-lvkp",
}
HINTS = [
    *((word, hint) for known in habits.OPTIONS.values() for word, hint in known.items()),
    *((word, hint) for known in habits.COMMANDS.values() for word, hint in known.items()),
]


@pytest.mark.parametrize(("word", "hint"), HINTS)
def test_a_hint_names_what_exists(word: str, hint: str) -> None:
    assert word not in hint.split()
    for flag in re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", hint):
        assert flag in EVERYWHERE
    for name, second in re.findall(r"portside ([a-z]+)(?: ([a-z]+))?", hint):
        assert name in COMMANDS
        assert name not in GROUPS or second in GROUPS[name]


@pytest.mark.parametrize("command", habits.OPTIONS)
def test_a_habit_is_no_option_that_exists(command: str) -> None:
    shared = set.intersection(*(flags(settings) for settings in SETTINGS[command]))
    assert not habits.OPTIONS[command].keys() & shared


@pytest.mark.parametrize("group", habits.COMMANDS)
def test_a_habit_is_no_command_that_exists(group: str) -> None:
    assert not habits.COMMANDS[group].keys() & set(GROUPS[group])


@pytest.mark.parametrize(
    ("command", "words", "hint"),
    [
        ("listen", "-lvp 9000", "`portside listen 9000` is `nc -lvkp 9000`"),
        ("listen", "-k 9000", "any number of clients"),
        ("listen", "-p 9000", "the port is an argument"),
        ("listen", "--ssl 9000", "--tls"),
        ("listen", "-e cat 9000", "--exec CMD"),
        ("listen", "-m 5 9000", "--max-conns N"),
        ("connect", "host:80 -q 1", "--half-close-timeout DURATION"),
        ("connect", "-k host:443", "--no-tls-verify"),
        ("connect", "-x proxy:1080 host 80", "--proxy socks5://"),
        ("watch", "-tanpo", "-w/--wide"),
        ("watch", "-K dst 10.0.0.1", "--kill"),
        ("watch", "--format json", "--json"),
        ("rec show", "DIR --conn 1", "DIR:CONN"),
    ],
)
def test_a_habit_leads_on(command: str, words: str, hint: str) -> None:
    settings = REC_COMMANDS["show"] if command == "rec show" else SETTINGS[command][0]
    specs = [spec for _, spec, _ in option_specs(settings)]
    with pytest.raises(UsageError, match="there is no option") as caught:
        check_options(command, specs, words.split())
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("group", "word", "hint"),
    [
        ("", "lisen", "did you mean listen?"),
        ("", "-lvp", "portside listen 9000"),
        ("", "9000", "portside listen 9000 waits there for clients, portside connect 9000 connects"),
        ("", "localhost", "portside connect localhost PORT"),
        ("", "netstat", "portside watch"),
        ("", "xyzzy", "see portside --help"),
        ("rec", "ls", "portside rec list DIR"),
        ("rec", "xyzzy", "see portside rec --help"),
        ("ctl", "ls", "portside ctl conns"),
        ("ctl", "/dev", "see portside ctl --help"),
        ("rec", "/dev", "portside rec list /dev"),
        ("rules", "run", "portside listen 9000 --rules FILE"),
    ],
)
def test_a_word_that_is_no_command(group: str, word: str, hint: str) -> None:
    assert no_such_command(group, word, GROUPS[group]).hint == hint
