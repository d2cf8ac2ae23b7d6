"""Networks of their own: looked into from outside, and what may be done to the sockets in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel.namespaced import TESTS

from portside.kernel.netns import Namespace, NamespaceError


@pytest.mark.parametrize("name", TESTS)
def test_in_a_network_of_its_own(name: str) -> None:
    words = ["unshare", "-Urnm", sys.executable, "-m", "kernel.namespaced", name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["nosuch", "999999999", "../etc", "", ".", ".."])
def test_a_namespace_that_is_not_there(name: str) -> None:
    with pytest.raises(NamespaceError, match="network namespace"):
        Namespace(name)
