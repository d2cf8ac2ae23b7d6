"""The harnesses of ``fuzz/``: each finds nothing in its first inputs, and what is unexpected is counted and shown."""

import os
import random
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import _attempts
from fuzz.__main__ import harnesses

ROOT = Path(__file__).parents[2]
ATTEMPTS = 200


@pytest.mark.parametrize("name", harnesses())
def test_harness(name: str) -> None:
    harness = _attempts.load(name)
    attempts = getattr(harness, "IN_TESTS", ATTEMPTS)
    accepted = sum(_attempts.attempt(harness, seed) for seed in range(attempts))
    assert 0 < accepted < attempts  # inputs are neither all right nor all wrong


def test_one_seed_is_one_input() -> None:
    for name in harnesses():
        harness = _attempts.load(name)
        first, again = (harness.make_input(random.Random(7)) for _ in range(2))
        assert first == again, name


class OfNumbers:
    """A harness whose inputs are numbers below 100."""

    LIMIT_S = 0.05

    def __init__(self, accepts: Callable[[int], bool]) -> None:
        self.accepts = accepts

    def make_input(self, chance: random.Random) -> int:
        return chance.randrange(100)


def test_what_is_unexpected(capfd: pytest.CaptureFixture[str]) -> None:
    counts = _attempts.run(OfNumbers(lambda value: 1 // (value % 2) > 0), 0.1, 1)
    assert 0 < counts.unexpected < counts.attempts
    assert counts.accepted == counts.attempts - counts.unexpected
    shown = capfd.readouterr().err
    assert shown.count("ZeroDivisionError") == 1
    assert "the input of seed" in shown


def test_an_attempt_that_takes_too_long() -> None:
    with pytest.raises(_attempts.TooLongError, match=r"longer than 0\.05 s"):
        _attempts.attempt(OfNumbers(lambda _: bool(select.select([], [], [], 60))), 1)


def test_the_program() -> None:
    words = [sys.executable, "-m", "fuzz", "sock_diag"]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "FUZZ_S": "0"}, capture_output=True, text=True, check=True
    )
    _, row, end = done.stdout.splitlines()
    assert row.split()[0] == "sock_diag"
    assert row.split()[-1] == "0"
    assert end.startswith("1 harnesses, 0 s each")
    wrong = subprocess.run([*words[:3], "sokc_diag"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "there is no harness sokc_diag: there are" in wrong.stderr
