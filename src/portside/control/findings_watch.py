"""What is wrong on this machine, for the consoles of a server: a diagnosis that goes on for as long as somebody asks.

A diagnosis needs a series of looks. All who ask with the same filter share one: it begins with the first of them, who
waits for its second look, and ends when nobody has asked for a while. Each runs on a thread of its own, which reads the
table of sockets itself, since neither the loop nor whoever reads connections is to wait for it.

    asked by           a look every    goes on after the last question for
    consoles, the API  1 s             30 s
    scrapes            5 s             150 s, so that one a minute finds conditions that take longer to be seen
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.diagnosis.findings import Finding
from portside.errors import PortsideError
from portside.kernel.filter.tree import EVERYTHING, Filter

MOST_WATCHES: Final = 4
_LOOKS_BEFORE_AN_ANSWER = 2
_ASKED, _SCRAPED = (1.0, 30.0), (5.0, 150.0)  # seconds: between two looks, and after the last question
_BUSY_SHARE = 5  # of the time in which nothing is looked at, where a look takes long
_JOIN_S = 1.0

Inodes = npt.NDArray[np.int64]


class TooManyWatches(Exception):
    """Others are being asked about with so many filters that there is no room for one more."""


class Found(NamedTuple):
    """What a watch has found by its last look. ``inodes`` are of the sockets of each finding, in the same order."""

    findings: tuple[Finding, ...]
    inodes: tuple[Inodes, ...]
    at: str
    looks: int
    watched_s: float
    notes: tuple[str, ...]
    blind: Mapping[str, str]


class FindingsWatch:
    """One diagnosis that goes on. ``is_over`` once its thread looks no more; ``error`` is the reason, if it failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tree: Filter) -> None:
        self.is_over = False
        self.error: PortsideError | None = None
        self.found: Found | None = None
        self.asked_at = self._scraped_at = time.monotonic()
        self._loop = loop
        self._tree = tree
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="portside-findings", daemon=True)

    def start(self) -> None:
        """Begin. Raises RuntimeError where the machine gives no more threads."""
        self._thread.start()

    async def ask(self) -> Found:
        """What has been found; waits for the second look. Raises PortsideError where the machine cannot be watched."""
        self.asked_at = time.monotonic()
        self._woken.set()
        while True:
            if self.found is not None and self.found.looks >= _LOOKS_BEFORE_AN_ANSWER and not self.is_over:
                return self.found
            if self.is_over:
                raise self.error or PortsideError("findings", "the server ends")
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    def scrape(self) -> Found | None:
        """What has been found, if that is enough for an answer; the watch goes on for a while."""
        self._scraped_at = time.monotonic()
        found = self.found
        return found if found is not None and found.looks >= _LOOKS_BEFORE_AN_ANSWER else None

    def stop(self) -> None:
        """End; may be called from any thread."""
        self._stopped.set()
        self._woken.set()

    def join(self) -> None:
        """Wait until the thread has ended, but not for a look that takes long."""
        self._thread.join(_JOIN_S)

    # On the watch's own thread.

    def _run(self) -> None:
        try:
            self._watch()
        except PortsideError as error:
            self.error = error
        finally:
            self.is_over = True
            self._tell()

    def _watch(self) -> None:
        from portside.app.diagnose_source import DiagnosisSource
        from portside.app.diagnosis_choice import filtered_rules
        from portside.diagnosis.diagnosis import Diagnosis
        from portside.diagnosis.registry import RULES

        rules = RULES if self._tree is EVERYTHING else filtered_rules(RULES)
        with DiagnosisSource(self._tree) as source:
            diagnosis = Diagnosis(rules)
            began = time.monotonic()
            looks = 0
            while not self._stopped.is_set():
                look_began = time.monotonic()
                seen = source.observe()
                report = diagnosis.observe(seen)
                looks += 1
                inodes = seen.sockets.column("inode")[0].astype(np.int64)
                nothing = np.zeros(0, np.int64)
                rows = [report.rows.get((each.code, each.subject)) for each in report.current]
                now = time.monotonic()
                self.found = Found(
                    report.current,
                    tuple(nothing if each is None else inodes[each] for each in rows),
                    seen.wall,
                    looks,
                    now - began,
                    tuple(source.notes),
                    report.blind,
                )
                self._tell()
                if not self._pause(look_began, now - look_began):
                    return

    def _pause(self, look_began: float, took_s: float) -> bool:
        """Wait for the next look; false where nobody has asked for long."""
        while not self._stopped.is_set():
            self._woken.clear()
            now = time.monotonic()
            asked, scraped = now - self.asked_at, now - self._scraped_at
            if asked > _ASKED[1] and scraped > _SCRAPED[1]:
                return False
            between_s = _ASKED[0] if asked <= _ASKED[1] else _SCRAPED[0]
            left = look_began + max(between_s, _BUSY_SHARE * took_s) - now
            if left <= 0 or not self._woken.wait(left):
                return True
        return False

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            pass  # the loop is closed: nobody waits

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class FindingsWatches:
    """The watches of a server, one for each filter that is asked with; on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[..., FindingsWatch] = FindingsWatch) -> None:
        self._loop = loop
        self._make = make
        self._watches: dict[str, FindingsWatch] = {}

    async def ask(self, text: str, tree: Filter) -> Found:
        """What has been found with a filter, given as it was written too.

        Raises TooManyWatches, and PortsideError where the machine cannot be watched.
        """
        return await self._watch(text, tree).ask()

    def scrape(self) -> Found | None:
        """What has been found without a filter; None before there is enough for an answer."""
        try:
            return self._watch("", EVERYTHING).scrape()
        except TooManyWatches:
            return None

    def _watch(self, text: str, tree: Filter) -> FindingsWatch:
        self._watches = {each: watch for each, watch in self._watches.items() if not watch.is_over}
        watch = self._watches.get(text)
        if watch is None:
            if len(self._watches) >= MOST_WATCHES:
                self._make_room()
            watch = self._make(self._loop, tree)
            try:
                watch.start()
            except RuntimeError:  # the machine gives no more threads
                raise TooManyWatches from None
            self._watches[text] = watch
        return watch

    def _make_room(self) -> None:
        """End the watch that was not asked for longest, unless it is in use."""
        text, oldest = min(self._watches.items(), key=lambda each: each[1].asked_at)
        if not text or time.monotonic() - oldest.asked_at < _SCRAPED[0]:
            raise TooManyWatches
        oldest.stop()
        del self._watches[text]

    async def close(self) -> None:
        """End all watches."""
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.stop()
        for watch in watches:
            await self._loop.run_in_executor(None, watch.join)
