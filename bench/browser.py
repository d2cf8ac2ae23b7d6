"""The page in Debian's Chromium, driven by Playwright."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import CDPSession, Error, Page, sync_playwright

from bench import machine
from bench.server import Server

CHROMIUM = "chromium"
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_WIDTH, _HEIGHT = 1440, 900


@contextmanager
def opened(server: Server, executable: str) -> Iterator["OpenPage"]:
    """The page of a server that was started with ``--web``, in a browser on the core of the load."""
    link = re.search(r"http://\S+", server.errors())
    if link is None:
        raise RuntimeError(f"{server.peer.name} printed no link: {server.errors()}")
    with machine.on_core(machine.LOAD_CORE), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=list(_FLAGS))
        try:
            page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
            page.goto(link[0])
            yield OpenPage(page)
        except Error as error:
            raise RuntimeError(f"the page: {error}") from error
        finally:
            browser.close()


class OpenPage:
    """An open page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def wait_for_rows(self, count: int) -> None:
        """Wait until the table is of so many connections."""
        self._page.locator(f'#list .table[aria-rowcount="{count + 1}"]').wait_for(timeout=60_000)

    def rest(self, seconds: float) -> None:
        """Let the page go on."""
        self._page.wait_for_timeout(seconds * 1000)

    def texts(self) -> list[str]:
        """What the table shows now."""
        return self._page.locator("#list .table-row:visible").all_inner_texts()

    def busy_s(self) -> tuple[float, float]:
        """Seconds that the main thread has worked, and the time of that on the browser's clock."""
        metrics = {each["name"]: each["value"] for each in self._session.send("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"], metrics["Timestamp"]
