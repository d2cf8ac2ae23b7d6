"""``--netns`` and ``--kill``, in networks of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.watch.namespaced import TESTS


@pytest.mark.parametrize("name", TESTS)
def test_in_a_network_of_its_own(name: str) -> None:
    words = ["unshare", "-Urnm", sys.executable, "-m", "integration.watch.namespaced", name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
