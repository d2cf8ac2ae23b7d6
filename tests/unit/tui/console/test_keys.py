"""The keys: what the page and the help say of them is what is bound."""

import re
from pathlib import Path

from portside.tui.console.app import ConsoleApp
from portside.tui.console.connection_list import ConnectionList
from portside.tui.console.connection_screen import ConnectionScreen
from portside.tui.console.event_screen import EventScreen
from portside.tui.console.finding_screen import FindingScreen
from portside.tui.console.help_text import HELP
from portside.tui.console.machine_screen import MachineScreen

PAGE = (Path(__file__).parents[4] / "docs" / "console.md").read_text(encoding="utf-8")
SIGNS = {"slash": "/", "question_mark": "?", "less_than_sign": "<", "greater_than_sign": ">", "enter": "Enter",
         "escape": "Escape", "left": "Left", "right": "Right"}  # fmt: skip
SYNONYMS = {"i"}  # of Enter


def bound(*screens: type) -> set[str]:
    """The keys that screens bind, as they are written."""
    keys = set()
    for screen in screens:
        for kind in screen.__mro__:
            if kind.__module__.startswith("portside."):
                for binding in vars(kind).get("BINDINGS", ()):
                    keys |= set(binding.key.split(","))
    return {SIGNS.get(key, key) for key in keys} - SYNONYMS


def test_every_key_is_on_the_page() -> None:
    told = {key for row in re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE) for key in re.findall(r"[^\s`,]+", row)}
    digits = {str(number) for number in range(1, 10)}
    assert digits <= bound(ConnectionList)
    keys = bound(ConsoleApp, ConnectionList, ConnectionScreen, EventScreen, FindingScreen, MachineScreen) - digits
    assert keys - told == set()
    assert "`1` … `9`" in PAGE


def test_every_key_is_in_the_help() -> None:
    told = set(re.findall(r"\S+", HELP))
    keys = bound(ConsoleApp, ConnectionList, ConnectionScreen) - {str(number) for number in range(1, 10)}
    assert keys - told == set()


def test_the_lines_of_keys_fit_the_narrowest_terminal() -> None:
    for screen in (ConnectionList, ConnectionScreen, EventScreen, FindingScreen, MachineScreen):
        assert len(screen.KEYS) <= 80
    assert max(map(len, HELP.splitlines())) <= 80
    assert len(HELP.splitlines()) <= 22
