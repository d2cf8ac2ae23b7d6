"""Fixtures that all tests share."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from neutral import make_neutral
from support import Program

# How long an example takes depends on the machine.
settings.register_profile("tests", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

make_neutral()

if os.environ.get("COVERED") == "tests":  # and not each program that they start, which takes it twice the time
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``portside`` with the given arguments; programs that still run at the end of the test are killed."""
    with ExitStack() as started:

        def start_one(*arguments: str, **options: Any) -> Program:
            program = Program(*arguments, **options)
            started.callback(program.kill_all)
            return program

        yield start_one


@pytest.fixture
def listen(start: Start) -> Start:
    """Start ``portside listen`` on a free port of 127.0.0.1."""

    def listen_with(*arguments: str, address: str = "127.0.0.1:0", **options: Any) -> Program:
        return start("listen", address, *arguments, **options)

    return listen_with


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB that nobody else uses."""
    if os.getuid() != 0 and not os.environ.get("CI"):
        pytest.skip("only root may mount")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", path], check=True, timeout=30)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True, timeout=30)
