"""``--netns`` and ``--kill``, in networks of their own."""

import pytest
from integration.watch import in_netns, killing_in_netns
from netns import run_in_netns


@pytest.mark.parametrize("name", in_netns.SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("integration.watch.in_netns", name)


@pytest.mark.parametrize("name", killing_in_netns.SCENARIOS)
def test_our_own_connections(name: str) -> None:
    run_in_netns("integration.watch.killing_in_netns", name)
