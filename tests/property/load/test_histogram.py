"""The histogram of load, held to another implementation of HdrHistogram."""

import base64

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from portside.load.hdr_log import encoded, zigzag
from portside.load.histogram import MOST_NS, SLOTS, Histogram, highest_of, slots_of

VALUES = st.lists(st.one_of(st.integers(0, 5000), st.integers(0, MOST_NS)), min_size=1, max_size=200)


@given(VALUES)
def test_a_value_is_in_its_slot_and_the_slot_is_narrow(values: list[int]) -> None:
    for value, slot in zip(values, slots_of(np.array(values)).tolist(), strict=True):
        assert slot < SLOTS
        lowest = highest_of(slot - 1) + 1 if slot else 0
        assert lowest <= value <= highest_of(slot)
        assert highest_of(slot) - lowest <= value / 1000


@given(VALUES, st.floats(0, 100))
def test_a_percentile_is_the_slot_of_the_value_at_that_rank(values: list[int], percent: float) -> None:
    histogram = Histogram()
    histogram.record(values)
    rank = max(1, int(np.ceil(percent / 100 * len(values) - 1e-9)))
    value = sorted(values)[rank - 1]
    found = histogram.percentile(percent)
    assert found is not None
    assert found == highest_of(int(slots_of(np.array([value]))[0]))
    assert histogram.largest == highest_of(int(slots_of(np.array([max(values)]))[0]))


@given(VALUES, VALUES)
def test_histograms_add_up_in_full_and_sparse(one: list[int], other: list[int]) -> None:
    together, first, second = Histogram(), Histogram(), Histogram()
    together.record(one + other)
    first.record(one)
    second.record(other)
    sparse = Histogram()
    sparse.add_sparse(first.sparse())
    sparse.add_sparse(second.sparse())
    assert (sparse.counts == together.counts).all()


@given(VALUES)
def test_another_implementation_reads_what_is_written(values: list[int]) -> None:
    histogram = Histogram()
    histogram.record(values)
    reference = HdrHistogram(1, MOST_NS, 3)
    for value in values:
        reference.record_value(value)
    read = HdrHistogram.decode(encoded(histogram))
    assert read.total_count == len(values)
    for percent in (0, 50, 90, 99, 99.9, 100):
        assert read.get_value_at_percentile(percent) == reference.get_value_at_percentile(percent)


@given(st.integers(0, 10**10), st.integers(1, 10**7), st.integers(1, 500))
def test_values_that_lie_evenly_are_counted_as_one_by_one(first: int, step: int, count: int) -> None:
    evenly, single = Histogram(), Histogram()
    evenly.record_evenly(first, step, count)
    single.record([first + each * step for each in range(count)])
    assert (evenly.counts == single.counts).all()


def test_a_great_many_cost_nothing() -> None:
    histogram = Histogram()
    histogram.record_evenly(0, 0.5, 10**12)
    assert histogram.total == 10**12
    assert histogram.percentile(50) == pytest.approx(25 * 10**10, rel=0.001)


def test_an_empty_histogram_has_no_values_and_is_written_all_the_same() -> None:
    histogram = Histogram()
    histogram.record([])
    assert (histogram.total, histogram.percentile(50), histogram.largest) == (0, None, None)
    assert HdrHistogram.decode(encoded(histogram)).total_count == 0
    assert base64.b64decode(encoded(histogram))


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_as_zigzag_leb128(number: int) -> None:
    written = zigzag(number)
    assert 1 <= len(written) <= 9
    value = 0
    for at, byte in enumerate(written):
        value |= (byte if at == 8 else byte & 0x7F) << (7 * at)
    assert (value >> 1) ^ -(value & 1) == number


def test_negative_and_huge_values_are_kept_within_bounds() -> None:
    histogram = Histogram()
    histogram.record([-5, MOST_NS * 10])
    assert histogram.percentile(50) == 0
    assert histogram.largest == highest_of(int(slots_of(np.array([MOST_NS]))[0]))
