"""Without what Linux alone has: what works, and that the rest says so in a line."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from recording_files import closed, opened, received, record

TESTS = Path(__file__).parents[1]
IMPORT_ALL = """
import importlib, pkgutil
from other_system import take_away
take_away()
import portside
from portside.errors import PortsideError
for module in pkgutil.walk_packages(portside.__path__, "portside.", lambda _name: None):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except PortsideError as error:
            assert "needs epoll" in str(error)
            print(module.name)
"""


def run(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TESTS / "other_system.py", *words],
        input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_module_can_be_imported_or_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=60, check=True, cwd=TESTS
    )
    lacking = done.stdout.split()
    assert "portside.server" in lacking
    assert not [name for name in lacking if name.startswith(("portside.client", "portside.ctl", "portside.record"))]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["listen", "0"], "a server needs epoll(7)"),
        (["load", "9000"], "load needs epoll(7)"),
        (["lab", "close-wait-leak"], "conditions are made on Linux alone"),
        (["watch", "--kill", "9000"], "opening netlink: this system has none"),
    ],
)
def test_what_needs_linux_says_so_in_a_line(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[0]
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_client_that_records(listen: Start, tmp_path: Path) -> None:
    server = listen("--echo")
    done = run("connect", f"127.0.0.1:{server.port}", "--record", tmp_path / "recording", given="hello\n")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    listed = run("rec", "list", tmp_path / "recording")
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 2), listed.stderr


def test_recordings(tmp_path: Path) -> None:
    record(tmp_path / "recording", [opened(1), received(1, b"hello\n"), closed(1, 6)])
    commands: tuple[tuple[list[str | Path], str], ...] = (
        (["show", tmp_path / "recording"], "> hello"),
        (["search", tmp_path / "recording", "hell"], "hell"),
        (["check", tmp_path / "recording"], "1 connection"),
        (["export", tmp_path / "recording", tmp_path / "recording.pcapng"], ""),
    )
    for words, shown in commands:
        done = run("rec", *words)
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout + done.stderr


def test_the_table_comes_from_psutil_and_says_what_is_unknown() -> None:
    done = run("watch", "--once", "--all")
    assert done.returncode == 0
    _, listener, client = done.stdout.splitlines()
    assert listener.split() == ["tcp", "-", "-", "127.0.0.1:9000", "0.0.0.0:*", "LISTEN", "77/server"]
    assert client.split() == ["tcp", "-", "-", "127.0.0.1:9000", "127.0.0.1:50000", "ESTABLISHED", "77/server"]
    assert "sockets come from psutil: opening netlink: this system has none" in done.stderr
