"""Which events are kept where there are more than may be published: an even sample, in which each stands for some."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BURST_S = 1.0  # what was not used for so long may be used at once


@dataclass(frozen=True, slots=True, eq=False)
class EvenSample:
    """The events that are kept of a batch, as row numbers, and for how many each stands: in sum all of the batch."""

    rows: npt.NDArray[np.int64]
    of: npt.NDArray[np.int64]


class Sampler:
    """Keeps ``rate`` events a second, or all where there are no more. ``left_out`` counts those that were not kept."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_out = 0
        self._rate = rate
        self._clock = clock
        self._room = rate * _BURST_S
        self._at = clock()

    def sample(self, sizes: Sequence[int]) -> list[EvenSample | None]:
        """For batches of these sizes what is kept of each; None: all of it. Of each batch at least one is kept."""
        now = self._clock()
        self._room = min(self._rate * _BURST_S, self._room + (now - self._at) * self._rate)
        self._at = now
        total = sum(sizes)
        if total <= self._room:
            self._room -= total
            return [None] * len(sizes)
        share = max(0.0, self._room) / total
        samples: list[EvenSample | None] = []
        for size in sizes:
            kept = min(size, max(1, int(size * share)))
            self._room -= kept
            self.left_out += size - kept
            samples.append(None if kept == size else self._even(size, kept))
        return samples

    @staticmethod
    def _even(size: int, kept: int) -> EvenSample:
        """One of each of so many parts, each time at another place. (numpy's own generators take 2 MB.)"""
        ends = np.arange(kept + 1, dtype=np.int64) * size // kept
        of = np.diff(ends)
        return EvenSample(ends[:-1] + (random.random() * of).astype(np.int64), of)  # noqa: S311 -- no secret
