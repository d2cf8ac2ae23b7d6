"""When messages are due, as arithmetic: nothing is stored of them, so a rate that cannot be reached costs no memory."""

from typing import NamedTuple


class Pace(NamedTuple):
    """A steady rate from a moment on: the first is due at the start, each next one ``1/per_s`` seconds later.

    Times are whole nanoseconds of one clock.
    """

    start_ns: int
    per_s: float

    def due_ns(self, index: int) -> int:
        """When the one of this index is due; computed from the start, so that no error adds up."""
        return self.start_ns + int(index * 1e9 / self.per_s)

    def due_before(self, end_ns: int) -> int:
        """How many are due before a moment."""
        count = max(0, int((end_ns - self.start_ns) * self.per_s / 1e9))
        while self.due_ns(count) < end_ns:  # the quotient was rounded
            count += 1
        while count and self.due_ns(count - 1) >= end_ns:
            count -= 1
        return count


def share(total: int, workers: int, worker: int) -> int:
    """The part of a total that falls to one of several workers: they differ by one at most and make up the total."""
    return total // workers + (worker < total % workers)
