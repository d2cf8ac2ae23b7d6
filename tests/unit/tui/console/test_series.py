"""Numbers over time: bars, rates out of counts, and the history of a connection in cells."""

from typing import Any

import pytest
from unit.tui.console.fake_server import history, server_info

from portside.tui.console.history import FactHistory
from portside.tui.console.rates import RateSample, RateSeries
from portside.tui.console.sparkline import sparkline


def at(clock: str) -> float:
    """Seconds since 1970 of a time on the day of the history."""
    hours, minutes, seconds = map(int, clock.split(":"))
    return 1795305600.0 + hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0, 0], "▁▁"),
        ([0, 1, 50, 100], "▁▂▅█"),
        ([None, 5, None], " █ "),
        ([0.001, 1000], "▂█"),  # what is little is still seen
        ([-5, 10], "▁█"),
    ],
)
def test_bars(values: list[float | None], line: str) -> None:
    assert sparkline(values) == line


def test_rates_are_differences_of_counts() -> None:
    rates = RateSeries()
    counts = {"opened": 0, "received": 0, "sent": 0}
    for second in range(5):
        rates.add(server_info(uptime=float(second), counts={**counts, "received": second * 100, "opened": second}))
        rates.add(server_info(uptime=second + 0.5, counts=counts))  # too soon
    assert rates.now == RateSample(opened=1, received=100, sent=0)
    values = rates.values("received", 60)
    assert values[:56] == [None] * 56
    assert values[56:] == [100.0] * 4
    assert rates.values("received", 6) == [None] * 5 + [100.0]


def test_the_counts_of_another_run_are_no_rate() -> None:
    rates = RateSeries()
    counts = {"opened": 9, "received": 900, "sent": 0}
    rates.add(server_info(uptime=9.0, counts=counts))
    rates.add(server_info(uptime=1.0, started="2026-11-22T13:00:00Z", counts=dict.fromkeys(counts, 0)))
    assert rates.now is None


def facts(rows: int, **columns: list[Any]) -> FactHistory:
    made = FactHistory()
    made.add(history(rows, **columns))
    return made


def test_a_cell_has_the_largest_of_its_time() -> None:
    known = facts(60, recv_q=[0] * 30 + [7] + [0] * 29)
    assert known.span == (at("12:00:00"), at("12:00:59"))
    cells = known.largest("recv_q", at("12:00:59"), 60, 6)
    assert cells == [0, 0, 0, 7, 0, 0]
    assert known.largest("recv_q", at("12:00:59"), 120, 2) == [None, 7]


def test_rates_do_not_depend_on_where_cells_end() -> None:
    known = facts(61, received=[row * 50 for row in range(61)])
    assert known.rates("received", at("12:01:00"), 60, 60) == [50.0] * 60
    assert known.rates("received", at("12:01:00"), 60, 47) == pytest.approx([50.0] * 47)
    assert known.rate_at("received", at("12:00:30")) == 50
    assert known.rate_at("received", at("11:00:00")) is None


def test_rows_are_added_once_and_what_is_not_known_stays_so() -> None:
    known = facts(3, recv_q=[1, None, 3])
    known.add(history(3, recv_q=[9, 9, 9]))
    assert known.newest == "2026-11-22T12:00:02.000000Z"
    assert known.largest("recv_q", at("12:00:02"), 3, 3) == [1, None, 3]
    before = known.before(at("12:00:01"))
    assert before is not None
    assert before.values["recv_q"] is None
    assert known.before(at("11:59:59")) is None
    assert FactHistory().largest("recv_q", 0, 60, 2) == [None, None]


def test_a_row_holds_for_as_long_as_rows_are_apart() -> None:
    known = facts(1, recv_q=[5])
    assert known.largest("recv_q", at("12:01:00"), 60, 4) == [5, None, None, None]
