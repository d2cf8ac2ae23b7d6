"""Conditions that are made for real are found with their program; healthy loads are not."""

import pytest
from integration.diagnose.found_in_netns import CONDITIONS, HEALTHY
from netns import run_in_netns


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_found_and_nothing_else(name: str) -> None:
    run_in_netns("integration.diagnose.found_in_netns", name)


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_a_healthy_load(name: str) -> None:
    run_in_netns("integration.diagnose.found_in_netns", name)
