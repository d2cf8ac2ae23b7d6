"""The broker's clock, as its answers tell it."""

import pytest
from fleet_records import T0, iso

from portside.fleet.query.broker_clock import BrokerClock


class Clocks:
    """The clocks of a machine, which go on only when they are told to; and the broker's, as it reads them."""

    def __init__(self) -> None:
        self.wall, self.steady = T0, 500.0
        self.broker = BrokerClock(lambda: self.wall, lambda: self.steady)

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_it_is_this_machine_s_until_an_answer_tells_it() -> None:
    clocks = Clocks()
    clocks.pass_by(3)
    assert clocks.broker.now() == T0 + 3
    assert not clocks.broker.is_known
    assert not clocks.broker.is_different


@pytest.mark.parametrize("away_s", [-86400, 86400])
def test_an_answer_tells_it(away_s: int) -> None:
    clocks = Clocks()
    clocks.broker.learn(iso(T0 + away_s), clocks.steady)
    clocks.pass_by(3)
    assert clocks.broker.now() == T0 + away_s + 3
    assert clocks.broker.is_different
    clocks.wall -= 5000
    assert clocks.broker.now() == T0 + away_s + 3, "a step of this machine's clock changes nothing"


@pytest.mark.parametrize(
    ("told_s", "now_s"),
    [(0, 8), (8, 8), (4, 8), (-1, 7), (9, 9)],
    ids=["made at once", "made at the end", "made in between", "a clock behind", "a clock ahead"],
)
def test_an_answer_that_took_eight_seconds(told_s: int, now_s: int) -> None:
    clocks = Clocks()
    asked_at = clocks.steady
    clocks.pass_by(8)
    clocks.broker.learn(iso(T0 + told_s), asked_at)
    assert clocks.broker.now() == T0 + now_s
    assert not clocks.broker.is_different


@pytest.mark.parametrize("told", [None, 5, "", "yesterday", "2026-11-28", "2026-11-28T10:00:00+01:00", "99999-01-01Z"])
def test_what_is_no_time_changes_nothing(told: object) -> None:
    clocks = Clocks()
    clocks.broker.learn(told, clocks.steady)
    assert not clocks.broker.is_known
