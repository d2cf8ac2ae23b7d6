"""The page of a server with many connections: what it costs the server, and the browser's main thread."""

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import IdleLoad, Server

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
LIMIT_S = 60
WATCHED_S = 10


def page(plan: Plan) -> Iterator[Result]:
    if not plan.has([CHROMIUM]):
        return
    count = plan.some(19_000)  # 20,000 descriptors are the most that many machines allow
    measured = plan.by_turns({"page": lambda: _once(count)}, min(plan.runs, 3))["page"]
    servers, browsers = zip(*measured, strict=True)
    row = f"{count:,} idle connections, the page open"
    yield Result(row, "% of a core", servers, bar=Bar(15, at_most=True, absolute=True), note=NOTE_SERVER)
    row = f"the page's main thread, {count:,} connections"
    yield Result(row, "% of a core", browsers, bar=Bar(30, at_most=True, absolute=True), note=NOTE_BROWSER)


def _once(count: int) -> tuple[float, float]:
    """Percent of a core that the server takes, and those of the main thread of the page."""
    from playwright.sync_api import sync_playwright

    with Server(peers.portside("--format", "text", "--web")) as server:
        link = re.search(r"http://\S+", server.errors())
        if link is None:
            raise RuntimeError(f"no link of the page: {server.errors()}")
        files = machine.open_files(server.pid)
        with IdleLoad(server, count), machine.on_core(machine.LOAD_CORE), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            shown = browser.new_page(viewport={"width": 1440, "height": 900})
            devtools = shown.context.new_cdp_session(shown)
            devtools.send("Performance.enable")
            shown.goto(link[0])
            shown.locator(f".table[aria-rowcount='{count + 1}']").wait_for(timeout=LIMIT_S * 1000)
            if machine.open_files(server.pid) < files + count:
                raise RuntimeError(f"{count} connections were not accepted")
            cpu, tasks, start = machine.cpu_s(server.pid), _tasks_s(devtools), time.monotonic()
            shown.wait_for_timeout(WATCHED_S * 1000)
            seconds = time.monotonic() - start
            shares = machine.cpu_s(server.pid) - cpu, _tasks_s(devtools) - tasks
            browser.close()
    return 100 * shares[0] / seconds, 100 * shares[1] / seconds


def _tasks_s(devtools: "CDPSession") -> float:
    """The seconds that the main thread has worked."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


NOTE_SERVER = (
    "The server's share of a core while the flight recorder keeps a row a second and Chromium shows the table of the "
    "connections, which it asks for once a second."
)
NOTE_BROWSER = "The time that the main thread of the page works, in the same ten seconds; painting is another thread's."
