"""When messages are due, and how a total is shared."""

from hypothesis import given
from hypothesis import strategies as st

from portside.load.schedule import Pace, share

RATES = st.floats(0.01, 1e6)


@given(st.integers(0, 1 << 60), RATES, st.integers(0, 1_000_000))
def test_messages_are_due_in_order_and_on_time(start: int, rate: float, index: int) -> None:
    pace = Pace(start, rate)
    due = pace.due_ns(index)
    assert pace.due_ns(0) == start
    assert due <= pace.due_ns(index + 1)
    assert abs((due - start) * rate / 1e9 - index) < 0.01 + index * 1e-9


@given(st.integers(0, 1 << 60), RATES, st.integers(0, 10**12))
def test_as_many_are_due_before_a_moment_as_have_their_time_before_it(start: int, rate: float, after: int) -> None:
    pace = Pace(start, rate)
    count = pace.due_before(start + after)
    assert pace.due_ns(count) >= start + after
    assert count == 0 or pace.due_ns(count - 1) < start + after


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_make_up_the_total(total: int, workers: int) -> None:
    shares = [share(total, workers, each) for each in range(workers)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
