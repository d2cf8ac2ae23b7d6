"""The page in a browser: what it costs the server, with many idle clients and with busy ones, and what itself."""

import shutil
import time
from collections.abc import Iterator
from functools import partial

from bench import machine, peers
from bench.browser import CHROMIUM, opened
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.lines import ALONE, CLIENTS, PLAIN, Sending
from bench.server import IdleLoad, Server, Work

SETTLED_S = 5
OPENED_S = 2  # what the page loads, and the server for it, is over
WATCHED_S = 20


def page(plan: Plan) -> Iterator[Result]:
    if not plan.has((CHROMIUM,)):
        return
    count = plan.some(19_000)  # 20,000 descriptors are the most that many machines allow
    shares = plan.by_turns({"page": partial(_idle, count)}, min(plan.runs, 3))["page"]
    for at, words, most in ((0, "the server", 15), (1, "the page's main thread", 30)):
        row = f"{count:,} idle connections, the page open: {words}"
        values = [100 * share[at] for share in shares]
        yield Result(row, "% of a core", values, bar=Bar(most, at_most=True, absolute=True), note=NOTE_IDLE)
    for sending in (PLAIN, ALONE):
        yield from _lines(plan, sending)


def _idle(count: int) -> tuple[float, float]:
    """The shares of a core that the server and the page's main thread take."""
    with Server(peers.TEXT_WEB) as server, IdleLoad(server, count), opened(server, _chromium()) as shown:
        shown.wait_for_rows(count)
        shown.rest(SETTLED_S)
        before, (busy, at), cpu, start = shown.texts(), shown.busy_s(), machine.cpu_s(server.pid), time.monotonic()
        shown.rest(WATCHED_S)
        server_share = (machine.cpu_s(server.pid) - cpu) / (time.monotonic() - start)
        busy_then, at_then = shown.busy_s()
        if shown.texts() == before:
            raise RuntimeError("the page shows what it showed before")
        return server_share, (busy_then - busy) / (at_then - at)


def _lines(plan: Plan, sending: Sending) -> Iterator[Result]:
    each = plan.some(sending.each)
    works = plan.by_turns(
        {
            "with": partial(_send_lines, sending, each, with_page=True),
            "without": partial(_send_lines, sending, each, with_page=False),
        }
    )
    total = CLIENTS * each
    row = f"{CLIENTS} clients, 64-byte lines to a file, {sending.words}, the page open"
    mine, theirs = ([total / work.seconds for work in of] for of in works.values())
    yield Result(row, "lines/s", mine, "no page", theirs, Bar(0.85), NOTE_LINES, (*works.values(),))
    mine, theirs = ([total / work.server_cpu_s for work in of] for of in works.values())
    yield Result(row, "lines/s of CPU", mine, "no page", theirs, note=NOTE_LINES)


def _send_lines(sending: Sending, each: int, *, with_page: bool) -> Work:
    with Server(peers.TEXT_WEB if with_page else peers.TEXT) as server:
        if with_page:
            with opened(server, _chromium()) as shown:
                shown.wait_for_rows(0)
                shown.rest(OPENED_S)
                work = server.work(sending.mode, CLIENTS, each, sending.pack)
        else:
            work = server.work(sending.mode, CLIENTS, each, sending.pack)
        server.stop()
        if server.missing(CLIENTS * each, work.failed):
            raise RuntimeError("lines are missing")
        return work


def _chromium() -> str:
    found = shutil.which(CHROMIUM)
    assert found is not None
    return found


NOTE_IDLE = (
    "The page at 1440x900 shows the list of connections and asks anew each second, with the kernel's facts and the "
    "programs at the other ends, which are on the same machine. The main thread's share is that of Chromium's "
    "TaskDuration."
)
NOTE_LINES = (
    "The browser shares the load's core, so the rate tells of both; the lines for each second of the server's CPU tell "
    "what the page costs the server."
)
