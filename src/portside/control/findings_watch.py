"""What is wrong on this machine, for the consoles of a server: a diagnosis that goes on for as long as somebody asks.

A diagnosis needs a series of looks. All who ask with the same filter share one: it begins with the first of them, who
waits for its second look, since an answer from one look would lack all that only growth shows, and ends when nobody has
asked for a while. Each runs on a thread of its own, which reads the table of sockets itself, since neither the loop nor
whoever reads connections is to wait for it. A watch that fails ends: those who wait get its
error, and the next to ask begins anew.

    asked by           a look every    goes on after the last question for
    consoles, the API  1 s             30 s
    scrapes            5 s             150 s, so that one a minute finds conditions that take longer to be seen
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.diagnosis.findings import Finding
from portside.errors import PortsideError, reason_of
from portside.kernel.filter.tree import EVERYTHING, Filter

MOST_WATCHES: Final = 4  # with a filter: the one without, which consoles and scrapes share, always has room
_LOOKS_BEFORE_AN_ANSWER = 2
_ASKED, _SCRAPED = (1.0, 30.0), (5.0, 150.0)  # seconds: between two looks, and after the last question
_IN_USE_S = 5.0  # after the last question: no other filter takes the place of this one
_BUSY_SHARE = 5  # a look is begun after so many times what the last one took, where that is longer
_LATE_S = 3.0  # after a look was due: what the one before has found is no answer any more
_JOIN_S = 1.0

Inodes = npt.NDArray[np.int64]


class TooManyWatches(Exception):
    """Others are being asked about with so many filters that there is no room for one more."""


class Found(NamedTuple):
    """The findings of a watch by its last look. ``inodes`` are of the sockets of each finding, in the same order."""

    findings: tuple[Finding, ...]
    inodes: tuple[Inodes, ...]
    at: str
    looks: int
    watched_s: float
    notes: tuple[str, ...]
    blind: Mapping[str, str]


class FindingsWatch:
    """One diagnosis that goes on. ``is_over`` once its thread looks no more; ``error`` is the reason, if it failed.

    ``asked_at`` is when a console last asked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tree: Filter) -> None:
        self.is_over = False
        self.error: Exception | None = None
        self.found: Found | None = None
        self.asked_at = self._scraped_at = -inf
        self._good_until = inf  # for what was found last: a server that was stopped does not answer from before that
        self.tree = tree
        self._loop = loop
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="portside-findings", daemon=True)

    def start(self, *, scraped: bool) -> None:
        """Begin, for a scrape or for a console. Raises RuntimeError where the machine gives no more threads."""
        if scraped:
            self._scraped_at = time.monotonic()
        else:
            self.asked_at = time.monotonic()
        self._thread.start()

    @property
    def is_in_use(self) -> bool:
        """Whether somebody waits, or has asked just now."""
        return bool(self._waiting) or time.monotonic() - self.asked_at < _IN_USE_S

    async def ask(self) -> Found | None:
        """The findings, from the second look on, which is waited for; None where the watch has ended before that.

        Raises PortsideError where the machine cannot be watched.
        """
        self.asked_at = time.monotonic()
        self._woken.set()
        while True:
            if self.is_over:
                if self.error is not None:
                    raise self.error
                return None
            if (found := self._answer()) is not None:
                self.asked_at = time.monotonic()
                return found
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    def scrape(self) -> Found | None:
        """The findings, if there were enough looks for an answer; the watch goes on for a while."""
        self._scraped_at = time.monotonic()
        return self._answer()

    def _answer(self) -> Found | None:
        found = self.found
        if found is None or found.looks < _LOOKS_BEFORE_AN_ANSWER or time.monotonic() > self._good_until:
            return None
        return found

    def stop(self) -> None:
        """End; may be called from any thread."""
        self._stopped.set()
        self._woken.set()

    def join(self, limit_s: float) -> None:
        """Wait until the thread has ended, for so many seconds at most."""
        self._thread.join(limit_s)

    # On the watch's own thread.

    def _run(self) -> None:
        try:
            self._watch()
        except OSError as error:  # no descriptor or no memory is left
            self.error = PortsideError("this machine cannot be watched now", reason_of(error))
        except Exception as error:  # noqa: BLE001 -- it is raised where somebody waits for the findings
            self.error = error
        finally:
            self.is_over = True
            self._tell()

    def _watch(self) -> None:
        from portside.app.diagnose_source import DiagnosisSource
        from portside.app.diagnosis_choice import filtered_rules
        from portside.diagnosis.diagnosis import Diagnosis
        from portside.diagnosis.registry import RULES

        rules = RULES if self.tree is EVERYTHING else filtered_rules(RULES)
        with DiagnosisSource(self.tree) as source:
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
        while True:
            self._woken.clear()  # before anything is looked at that wakes it, or that would be missed
            if self._stopped.is_set():
                return False
            now = time.monotonic()
            asked = 0.0 if self._waiting else now - self.asked_at
            scraped = now - self._scraped_at
            if asked > _ASKED[1] and scraped > _SCRAPED[1]:
                return False
            between_s = _ASKED[0] if asked <= _ASKED[1] else _SCRAPED[0]
            left = look_began + max(between_s, _BUSY_SHARE * took_s) - now
            self._good_until = now + max(0.0, left) + took_s + _LATE_S
            if left <= 0 or not self._woken.wait(left):
                return True

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
        self._ending: list[FindingsWatch] = []
        self._is_closed = False

    def tree_of(self, text: str) -> Filter | None:
        """The filter of a watch that goes on; None where none is of this text. Its names are not looked up again."""
        watch = self._watches.get(text)
        return watch.tree if watch is not None and not watch.is_over else None

    async def ask(self, text: str, tree: Filter) -> Found:
        """The findings with a filter, given as it was written too.

        Raises TooManyWatches, and PortsideError where the machine cannot be watched.
        """
        while True:
            found = await self._watch(text, tree, scraped=False).ask()
            if found is not None:
                return found

    def scrape(self) -> Found | None:
        """The findings without a filter; None before there is enough for an answer."""
        try:
            return self._watch("", EVERYTHING, scraped=True).scrape()
        except (TooManyWatches, PortsideError):
            return None

    def _watch(self, text: str, tree: Filter, *, scraped: bool) -> FindingsWatch:
        if self._is_closed:
            raise PortsideError("findings", "the server ends")
        self._watches = {each: watch for each, watch in self._watches.items() if not watch.is_over}
        watch = self._watches.get(text)
        if watch is None:
            if text and len(self._watches.keys() - {""}) >= MOST_WATCHES:
                self._make_room()
            watch = self._make(self._loop, tree)
            try:
                watch.start(scraped=scraped)
            except RuntimeError:  # the machine gives no more threads
                raise TooManyWatches from None
            self._watches[text] = watch
        return watch

    def _make_room(self) -> None:
        """End the watch that was not asked for longest, of those with a filter that are not in use."""
        unused = {text: watch for text, watch in self._watches.items() if text and not watch.is_in_use}
        if not unused:
            raise TooManyWatches
        text = min(unused, key=lambda each: unused[each].asked_at)
        unused[text].stop()
        self._ending = [*(each for each in self._ending if not each.is_over), self._watches.pop(text)]

    async def close(self) -> None:
        """End all watches; waits a second at most, and so for no look that takes longer."""
        self._is_closed = True
        watches, self._watches, self._ending = [*self._watches.values(), *self._ending], {}, []
        for watch in watches:
            watch.stop()
        end = time.monotonic() + _JOIN_S
        for watch in watches:
            await self._loop.run_in_executor(None, watch.join, max(0.0, end - time.monotonic()))
