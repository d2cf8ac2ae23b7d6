"""Networks of their own: looked into from outside, and what may be done to the sockets in them."""

import pytest
from kernel.in_netns import SCENARIOS
from netns import run_in_netns

from portside.kernel.netns import Namespace, NamespaceError


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("kernel.in_netns", name)


@pytest.mark.parametrize("name", ["nosuch", "999999999", "../etc", "", ".", ".."])
def test_a_namespace_that_is_not_there(name: str) -> None:
    with pytest.raises(NamespaceError, match="network namespace"):
        Namespace(name)
