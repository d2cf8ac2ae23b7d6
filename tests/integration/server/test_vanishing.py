"""Peers that vanish without a word, and peers that are gone, in a network namespace of their own."""

import pytest
from netns import run_in_netns


@pytest.mark.parametrize("scenario", ["vanished", "gone"])
def test_vanishing(scenario: str) -> None:
    run_in_netns("integration.server.vanishing", scenario)
