"""Link-local addresses and their interfaces, in networks of their own."""

import pytest
from integration.client.scopes_in_netns import SCENARIOS
from netns import run_in_netns


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("integration.client.scopes_in_netns", name)
