"""Programs that no rule was written against are found and named, and nothing else is; loads of all kinds are not."""

from collections.abc import Iterator
from functools import partial

import pytest
from at_once import Outcomes, outcomes_of
from integration.diagnose.healthy_in_netns import TOGETHER
from integration.diagnose.strange_in_netns import STRANGERS
from netns import OWN_PROCESSES, run_in_netns


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The runs of all strangers; they wait most of their time."""
    run = partial(run_in_netns, "integration.diagnose.strange_in_netns", options=OWN_PROCESSES)
    with outcomes_of(request, "test_a_stranger_is_named_and_nothing_else_is_found", "name", run, 8) as outcomes:
        yield outcomes


@pytest.fixture(scope="module")
def healthy(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The runs of the loads that go on together."""
    run = partial(run_in_netns, "integration.diagnose.healthy_in_netns", options=OWN_PROCESSES)
    with outcomes_of(request, "test_nothing_is_wrong_with_many_loads_at_once", "name", run) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_named_and_nothing_else_is_found(name: str, found: Outcomes) -> None:
    found[name].result()


@pytest.mark.parametrize("name", TOGETHER)
def test_nothing_is_wrong_with_many_loads_at_once(name: str, healthy: Outcomes) -> None:
    healthy[name].result()
