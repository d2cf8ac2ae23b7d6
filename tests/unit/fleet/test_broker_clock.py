"""The broker's clock, as its answers tell it."""

import time

import pytest
from fleet_records import iso

from portside.fleet.query.broker_clock import BrokerClock


def test_it_is_this_machine_s_until_an_answer_tells_it() -> None:
    clock = BrokerClock()
    before = time.time()
    assert before <= clock.now() <= time.time()
    assert not clock.is_known
    assert not clock.is_different


@pytest.mark.parametrize("away_s", [-86400.0, 0.0, 86400.0])
def test_an_answer_tells_it(away_s: float) -> None:
    clock = BrokerClock()
    asked_at, before = time.monotonic(), time.time()
    clock.learn(iso(before + away_s), asked_at)
    assert clock.is_known
    assert clock.is_different == (away_s != 0)
    took = time.monotonic() - asked_at
    assert abs(clock.now() - (before + away_s)) <= took + 0.001


def test_the_middle_of_asking_is_when_an_answer_was_made() -> None:
    clock = BrokerClock()
    clock.learn(iso(1_800_000_000), time.monotonic() - 8)
    assert clock.now() >= 1_800_000_004


@pytest.mark.parametrize("told", [None, 5, "", "yesterday", "2026-11-28", "2026-11-28T10:00:00+01:00", "99999-01-01Z"])
def test_what_is_no_time_changes_nothing(told: object) -> None:
    clock = BrokerClock()
    clock.learn(told, time.monotonic())
    assert not clock.is_known
