"""Three machines with agents and a broker, each in a network namespace: what a fleet shows of them."""

import pytest
from netns import OWN_PROCESSES, run_in_netns

LIMIT_S = 290


@pytest.mark.timeout(LIMIT_S + 10)
@pytest.mark.parametrize("scenario", ["watched", "named_alike", "broker_killed"])
def test_three_machines(scenario: str) -> None:
    run_in_netns("integration.fleet.three_machines", scenario, options=OWN_PROCESSES, limit_s=LIMIT_S)
