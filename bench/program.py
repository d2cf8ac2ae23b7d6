"""A program that measures by itself, and prints its results as a JSON object."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from bench import machine
from bench.peers import ENVIRONMENT

LIMIT_S = 120


def ask(command: Sequence[str], core: int | None = None) -> dict[str, Any]:
    """The object that the program prints; `core` as in `machine.on_core`. Raises RuntimeError if the program fails."""
    with machine.on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
