"""Completion in real shells."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Start
from recording_files import closed, opened, record
from support import connect_many
from tmux import Terminal


def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "portside", "completion", shell], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


# How each shell is started with the completion of portside, in a folder with the script and with recordings; then it
# shows "ready".
SHELLS = {
    "bash": "exec bash --noprofile --rcfile rc -i",
    "zsh": "ZDOTDIR=$PWD exec zsh -i",
    "fish": "HOME=$PWD XDG_CONFIG_HOME=$PWD exec fish --init-command 'source ./script; echo ready'",
}
RC = {
    "bash": "PS1='$ '; source ./script; echo ready\n",
    "zsh": "PS1='%% '; fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D; echo ready\n",
    "fish": "",
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """A shell with the completion of portside, in a folder with a recording of three connections."""
    name = request.param
    (tmp_path / "script").write_text(script(name))
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_portside").write_text(script(name))
    (tmp_path / "rc").write_text(RC[name])
    (tmp_path / ".zshrc").write_text(RC[name])
    record(tmp_path / "captured", [event for conn in (1, 2, 31) for event in (opened(conn), closed(conn))])
    start = f"cd {tmp_path}; PATH={Path(sys.executable).parent}:$PATH {SHELLS[name]}"
    terminal = Terminal(tmp_path / "tmux", start, (100, 30))
    try:
        terminal.wait("ready")
        yield terminal
    finally:
        terminal.end()


def test_connections_of_a_recording(shell: Terminal) -> None:
    for typed, shown in (
        ("portside rec sho", "portside rec show"),
        ("portside rec show capt", "portside rec show captured"),
        ("portside rec show captured 3", "portside rec show captured 31"),
        ("portside rec diff captured:1 captured:3", "portside rec diff captured:1 captured:31"),
        ("portside help close-w", "portside help close-wait-leak"),
    ):
        shell.type(typed)
        shell.press("Tab")
        shell.wait(shown)
        shell.press("C-u")


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
            bash.press("C-u")  # C-c, a signal, loses what is typed while the completion still ends
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
