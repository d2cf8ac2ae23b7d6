"""What all workers have said, added up."""

from portside.load.histogram import Histogram
from portside.load.work import WorkDone


class WorkerTotals:
    """Sums and histograms over the workers of a run. ``measured_`` counts are those of the measured time alone."""

    def __init__(self, workers: int) -> None:
        self.latency, self.connect, self.lateness, self.rtt = (Histogram() for _ in range(4))
        self.opened = self.sent = self.replies = self.bytes_sent = self.bytes_received = 0
        self.measured_replies = self.measured_opened = 0
        self.errors: dict[str, int] = {}
        self.kernel: dict[str, int] = {}
        self._last: list[WorkDone | None] = [None] * workers

    def add(self, worker: int, progress: WorkDone) -> None:
        """Add what a worker has done since its last word."""
        self.opened += progress.opened
        self.sent += progress.sent
        self.replies += progress.replies
        self.bytes_sent += progress.bytes_sent
        self.bytes_received += progress.bytes_received
        if progress.stage == "measuring":
            self.measured_replies += progress.replies
            self.measured_opened += progress.opened
        for sums, added in ((self.errors, progress.errors), (self.kernel, progress.kernel)):
            for name, count in added.items():
                sums[name] = sums.get(name, 0) + count
        for name in ("latency", "connect", "lateness", "rtt"):
            sparse = getattr(progress, name)
            if sparse is not None:
                getattr(self, name).add_sparse(sparse)
        self._last[worker] = progress

    def stage(self, worker: int) -> str:
        """The stage of a worker, ``started`` before its first word."""
        last = self._last[worker]
        return last.stage if last is not None else "started"

    @property
    def open(self) -> int:
        """How many connections are open."""
        return sum(each.open for each in self._last if each is not None)

    @property
    def duration_s(self) -> float:
        """The measured time so far: from the first worker's beginning to the last one's end; 0 before it begins."""
        begun = [each for each in self._last if each is not None and each.began_ns]
        if not begun:
            return 0.0
        return max(each.began_ns + each.wall_ns for each in begun) / 1e9 - min(each.began_ns for each in begun) / 1e9

    @property
    def busiest(self) -> float:
        """The share of a core that the busiest worker used in the measured time."""
        return max(
            (each.cpu_ns / each.wall_ns for each in self._last if each is not None and each.wall_ns), default=0.0
        )
