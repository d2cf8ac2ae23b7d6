"""A page of the documentation on a terminal, in its pager."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    shell = Terminal(tmp_path / "tmux", "PS1='$ ' exec bash --noprofile --norc -i", (80, 24))
    try:
        shell.wait("$")
        shell.type(f"unset PAGER LESS MANPAGER; PATH={Path(sys.executable).parent}:$PATH; clear")
        shell.press("Enter")
        yield shell
    finally:
        shell.end()


def enter(terminal: Terminal, line: str) -> None:
    terminal.type(line)
    terminal.press("Enter")


def test_a_long_page_in_the_pager(terminal: Terminal) -> None:
    enter(terminal, "portside help listen; echo status $?")
    screen = terminal.wait("portside listen", "\n:")  # the prompt of less
    assert "status" not in screen
    assert "](" not in screen
    terminal.press("C-c")
    terminal.press("q")
    terminal.wait("status 0")


def test_the_pager_of_the_user(terminal: Terminal) -> None:
    enter(terminal, "PAGER='tail -3 | cat -A' portside help handler | cat; echo no pager in a pipe")
    terminal.wait("no pager in a pipe")
    enter(terminal, "clear; NO_COLOR=1 PAGER='wc -l' portside diagnose --explain nagle-delay; echo status $?")
    screen = terminal.wait("status 0")
    assert [line for line in screen.splitlines() if line.strip().isdecimal()], screen
