"""Networks of their own: looked into from outside, and what may be done to the sockets in them."""

import os
from pathlib import Path

import pytest
from kernel import in_netns, interfaces_in_netns
from netns import run_in_netns

from portside.kernel.netns import Namespace, NamespaceError


@pytest.mark.parametrize("name", in_netns.SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("kernel.in_netns", name)


@pytest.mark.parametrize("name", interfaces_in_netns.SCENARIOS)
def test_interfaces(name: str) -> None:
    run_in_netns("kernel.interfaces_in_netns", name)


@pytest.mark.parametrize(
    "name", ["nosuch", "999999999", "../etc", "/no/such", "", ".", "..", "a\0b", "/proc/self/ns/mnt"]
)
def test_a_namespace_that_is_not_there(name: str) -> None:
    with pytest.raises(NamespaceError, match="network namespace"):
        Namespace(name)


def test_a_path_that_is_no_namespace(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name in ("fifo", "file", "."):
        with pytest.raises(NamespaceError, match="this is no network namespace"):
            Namespace(f"{tmp_path}/{name}")
