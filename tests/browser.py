"""A page in Debian's Chromium, driven by Playwright, which fails a test for whatever the browser complains about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import web_tools
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from support import DEADLINE_S

CHROMIUM = "/usr/bin/chromium"
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-prefers-reduced-motion")
# An answer that is no success is written to the console too; the page says what it means itself.
_EXPECTED = ("Failed to load resource", "WebSocket connection to", "ERR_CONNECTION_REFUSED")

expect.set_options(timeout=DEADLINE_S * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_at(
    browser: Browser, address: str, *, width: int = 1440, height: int = 900, scheme: Literal["dark", "light"] = "light"
) -> Iterator[Page]:
    """A page in a context of its own. At its end, what scripts raised and what the policy refused is a failure."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC", reduced_motion="reduce"
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(DEADLINE_S * 1000)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_EXPECTED):
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(address)
        yield page
        assert complaints == []
        origin = address.partition("/#")[0]
        assert [url for url in requests if not url.startswith((origin, "blob:"))] == []
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong: a line for each rule, with the elements."""
    # The policy of the page lets no script in; the browser's own inspector may evaluate one.
    page.evaluate(f"() => {{ {web_tools.axe()}; window.axe = axe; }}")
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes'][:5]]}"
        for each in found["violations"]
    ]
