"""``--netns`` and ``--kill``, in networks of their own."""

import pytest
from apart import run_apart
from integration.watch.namespaced import TESTS


@pytest.mark.parametrize("name", TESTS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_apart("integration.watch.namespaced", name)
