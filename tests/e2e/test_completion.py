"""Completion in real shells."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Start
from support import connect_many
from tmux import Terminal


def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "portside", "completion", shell], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A bash with the completion of portside, and with control sockets of its own."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    (tmp_path / "rc").write_text(f"PS1='$ '\nPATH={Path(sys.executable).parent}:$PATH\n{script('bash')}")
    terminal = Terminal(tmp_path / "tmux", f"exec bash --noprofile --rcfile {tmp_path / 'rc'} -i", (100, 30))
    try:
        terminal.wait("$")
        yield terminal
    finally:
        terminal.end()


def test_bash(bash: Terminal, listen: Start) -> None:
    server = listen()
    with connect_many(3, server.port):
        server.wait_for("connected", count=3)
        for typed, shown in (
            ("portside dia", "portside diagnose "),
            ("portside ctl thro", "portside ctl throttle "),
            ("portside listen --format cl", "portside listen --format classic "),
            ("portside ctl close --res", "portside ctl close --reset "),
            ("portside lab close", "portside lab close-wait-leak "),
            ("portside ctl conns --server ", f"--server {server.process.pid} "),
        ):
            bash.type(typed)
            bash.press("Tab")
            bash.wait(shown.rstrip())
            bash.press("C-c")
        bash.type("portside ctl close ")
        bash.press("Tab", "Tab")
        bash.wait("1  2  3")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_command_is_in_the_script(shell: str) -> None:
    text = script(shell)
    for word in ("listen", "diagnose", "broadcast", "replay", "reuse-port", "classic"):
        assert word in text
    assert "portside ctl conns" in text


def test_another_shell_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "portside", "completion", "tcsh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'tcsh' is none of bash, zsh, fish" in done.stderr
