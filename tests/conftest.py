"""Fixtures of all tests."""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import Program

# How long an example takes is the machine's matter.
settings.register_profile("tests", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Some tests are a thousand clients: the usual soft limit is 1024.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 8192)), _hard))

Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``portside`` with some arguments; whatever still runs at the end of the test is ended."""
    with ExitStack() as started:

        def start_one(*arguments: str, **options: Any) -> Program:
            program = Program(*arguments, **options)
            started.callback(program.kill)
            return program

        yield start_one


@pytest.fixture
def listen(start: Start) -> Start:
    """Start ``portside listen`` on a free port of 127.0.0.1."""

    def listen_with(*arguments: str, address: str = "127.0.0.1:0", **options: Any) -> Program:
        return start("listen", address, *arguments, **options)

    return listen_with
