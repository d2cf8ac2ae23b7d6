"""Times in a log-linear histogram: three significant digits from a microsecond to hours, in bounded memory.

The layout is that of HdrHistogram (hdrhistogram.org), so that ``hdr_log`` writes the counts as they stand:

    bucket 0     slots 0 … 2047    a slot a unit             values 0 … 2047
    bucket 1     slots 2048 … 3071 a slot each 2 units       values 2048 … 4095
    bucket n     1024 slots more   a slot each 2**n units    values 2**(n+10) … 2**(n+11) - 1

A value and its slot's lowest one differ by less than a thousandth.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIGNIFICANT_DIGITS = 3
_HALF_BITS = 10
_HALF = 1 << _HALF_BITS
MOST_NS = 24 * 3600 * 10**9
"""The largest value; what is larger counts as this."""
BUCKETS = MOST_NS.bit_length() - _HALF_BITS - 1
SLOTS = (BUCKETS + 2) * _HALF

Counts = npt.NDArray[np.int64]


class Histogram:
    """How often each value occurred; values are whole nanoseconds of at least 0, and ``counts`` has one slot for each
    range of them."""

    def __init__(self, counts: Counts | None = None) -> None:
        self.counts: Counts = np.zeros(SLOTS, np.int64) if counts is None else counts

    @property
    def total(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    def record(self, values_ns: Sequence[int]) -> None:
        """Count values; a negative one counts as 0."""
        if values_ns:
            self.counts += np.bincount(slots_of(np.array(values_ns, np.int64)), minlength=SLOTS)

    def record_evenly(self, first_ns: float, step_ns: float, count: int) -> None:
        """Count values that lie evenly: ``first_ns`` and each ``step_ns`` more, ``count`` of them."""
        up_to = np.clip(np.floor((_HIGHEST - first_ns) / step_ns) + 1, 0, count)
        up_to[-1] = count  # what is larger than the largest value
        self.counts += np.diff(up_to, prepend=0).astype(np.int64)

    def sparse(self) -> tuple[bytes, bytes]:
        """The slots that are not empty and their counts, for ``add_sparse`` in another process of this machine."""
        taken = np.flatnonzero(self.counts)
        return taken.astype(np.int32).tobytes(), self.counts[taken].tobytes()

    def add_sparse(self, sparse: tuple[bytes, bytes]) -> None:
        """Count all values of a histogram that ``sparse`` has written."""
        self.counts[np.frombuffer(sparse[0], np.int32)] += np.frombuffer(sparse[1], np.int64)

    def percentile(self, percent: float) -> int | None:
        """The value that so many percent of all do not exceed, as the largest of its slot; None without values."""
        total = self.total
        if not total:
            return None
        wanted = max(1, int(np.ceil(percent / 100 * total - 1e-9)))
        slot = int(np.searchsorted(np.cumsum(self.counts), wanted))
        return highest_of(slot)

    @property
    def largest(self) -> int | None:
        """The largest value, as the largest of its slot; None without values."""
        taken = np.flatnonzero(self.counts)
        return highest_of(int(taken[-1])) if len(taken) else None


def slots_of(values: Counts) -> Counts:
    """The slots of values."""
    kept = np.clip(values, 0, MOST_NS)
    # The exponent of a value at least 2048 is the number of its bits; halves below that are bucket 0. Conversion to
    # double is exact for as long as values have at most 53 bits.
    bucket: Counts = np.maximum(np.frexp(kept.astype(np.float64))[1] - _HALF_BITS - 1, 0).astype(np.int64)
    slots: Counts = bucket * _HALF + (kept >> bucket)
    return slots


def highest_of(slot: int) -> int:
    """The largest value of a slot."""
    bucket = max(slot // _HALF - 1, 0)
    return ((slot - bucket * _HALF + 1) << bucket) - 1


_HIGHEST = np.array([highest_of(slot) for slot in range(SLOTS)], np.float64)
