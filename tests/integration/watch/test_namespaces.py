"""``--netns`` and ``--kill``, in networks of their own."""

import pytest
from integration.watch import all_in_netns, in_netns, killing_in_netns
from netns import run_in_netns


@pytest.mark.parametrize("name", in_netns.SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("integration.watch.in_netns", name)


@pytest.mark.parametrize("name", all_in_netns.SCENARIOS)
def test_all_networks(name: str) -> None:
    run_in_netns("integration.watch.all_in_netns", name)


@pytest.mark.parametrize("name", killing_in_netns.SCENARIOS)
def test_our_own_connections(name: str) -> None:
    run_in_netns("integration.watch.killing_in_netns", name)
