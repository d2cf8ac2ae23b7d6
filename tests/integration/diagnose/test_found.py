"""Conditions that are made for real are found with their program; healthy loads are not."""

from collections.abc import Iterator
from functools import partial

import pytest
from at_once import Outcomes, outcomes_of
from integration.diagnose.found_in_netns import CONDITIONS, HEALTHY
from netns import run_in_netns

run = partial(run_in_netns, "integration.diagnose.found_in_netns")


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The runs of all conditions, each in namespaces of its own."""
    with outcomes_of(request, "test_a_condition_is_found_and_nothing_else", "name", run) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_found_and_nothing_else(name: str, found: Outcomes) -> None:
    found[name].result()


@pytest.fixture(scope="module")
def healthy(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The runs of the healthy loads, two at a time: they take all the processor time that there is."""
    with outcomes_of(request, "test_nothing_is_wrong_with_a_healthy_load", "name", run, 2) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_a_healthy_load(name: str, healthy: Outcomes) -> None:
    healthy[name].result()
