"""A lab that runs, and what is left after it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support import Program, has_ended, wait_until

HELD = r"^Held for "


class RunningLab(Program):
    """``portside lab CODE`` that has made its condition."""

    def __init__(self, code: str, *options: str) -> None:
        super().__init__("lab", code, *options)
        self.code = code
        self.roles: list[int] = []

    def wait_until_there(self) -> None:
        """Wait until the lab says that its condition is there."""
        wait_until(lambda: self.process.poll() is not None or re.search(HELD, self.out.decode(), re.MULTILINE), HELD)
        assert self.process.poll() is None, bytes(self.err)
        assert self.read_roles()

    def read_roles(self) -> int:
        """Read which processes it has started; how many."""
        pid = self.process.pid
        self.roles = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return len(self.roles)

    @property
    def is_isolated(self) -> bool:
        """Whether it is in a network namespace of its own."""
        return os.readlink(f"/proc/{self.process.pid}/ns/net") != os.readlink("/proc/self/ns/net")

    @property
    def looks(self) -> list[str]:
        """The commands that it says to look with."""
        return re.findall(r"^  (?=\S)(?!nsenter)(.*)$", self.out.decode(), re.MULTILINE)

    @property
    def lab_port(self) -> int:
        """The port that its commands are about, or else what it says."""
        found = re.search(r":(\d{2,5})\b", "\n".join(self.looks)) or re.search(r"port (\d+)", self.out.decode())
        assert found, self.out
        return int(found[1])

    def shell(self, command: str) -> str:
        """What a command prints where the lab is, in the shell that it tells the user to open."""
        done = subprocess.run(
            self._words(command), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def first_event(self, command: str) -> str:
        """The first line that ``watch --events`` prints below its titles, in that shell."""
        running = Program(command=tuple(self._words(f"exec {command}")))
        try:
            return running.wait_for(r"^\d\d:.+\n")[0]
        finally:
            running.kill()

    def _words(self, command: str) -> list[str]:
        enter = re.findall(r"^  (nsenter .*) \$SHELL$", self.out.decode(), re.MULTILINE)
        words = [*enter[0].split(), "--"] if enter else []
        python = f"{sys.executable} -m portside"
        return [*words, "sh", "-c", re.sub(r"\bportside (?=watch|diagnose)", f"{python} ", command)]

    def assert_nothing_is_left(self, port: int | None) -> None:
        """Fail if a process of the lab is left, or a socket in any state."""
        for pid in self.roles:
            wait_until(partial(has_ended, pid), f"the end of process {pid}")
        if port is not None:
            filter_text = f"( sport = :{port} or dport = :{port} )"
            look = ["ss", "-tanH", filter_text]
            wait_until(lambda: not subprocess.run(look, capture_output=True, check=True).stdout, f"no socket of {port}")


_FOUND: list[tuple[str, ...]] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what ``diagnose`` has found of the labs, as a table."""
    if _FOUND:
        terminalreporter.section("labs that diagnose has found")
        for code, after, severity, subject, evidence in _FOUND:
            terminalreporter.write_line(f"{code:<22}{after:>6}  {severity:<9}{subject}: {evidence}")


@pytest.fixture(scope="session")
def note_finding() -> Callable[[tuple[str, ...]], None]:
    """Note a finding for the table: its code, after how long, its severity, subject and evidence."""
    return _FOUND.append


@contextmanager
def tracked_labs() -> Iterator[type[RunningLab]]:
    """The class of labs; those that are made of it are killed at the end, whatever happens."""
    made: list[RunningLab] = []

    class Tracked(RunningLab):
        def __init__(self, code: str, *options: str) -> None:
            super().__init__(code, *options)
            made.append(self)

    try:
        yield Tracked
    finally:
        for each in made:
            if each.process.poll() is None:
                each.signal(signal.SIGKILL)
            each.kill()


@pytest.fixture
def start_lab() -> Iterator[type[RunningLab]]:
    """The class of labs, for one test."""
    with tracked_labs() as labs:
        yield labs
