"""Take the pictures of the page for ``docs/web.md``, and those of a fleet: ``python docs/screenshots.py``.

A server with clients that do something is started for them, on free ports of this machine; for the fleet a nats-server
and a hundred simulated nodes. With ``fleet`` or ``server`` as an argument those pictures alone are taken.
"""

import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, expect, sync_playwright

IMAGES = Path(__file__).with_name("images")
CHROMIUM = "/usr/bin/chromium"
REQUEST = b"GET /sensors/%d HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n"
READING = b'{"sensor":%d,"temp":21.%d,"humidity":4%d}\n'
BINARY = bytes((0x7E, 0x01, 0x00, 0x1F, 0xFF, 0x42, 0x80, 0x0A))
CLIENTS = 24
LOOKED_AT = 4
RECORDS_A_SECOND = 1000


def main() -> None:
    """Take all pictures, or some."""
    IMAGES.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["server", "fleet"]
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        stack.callback(browser.close)
        if "server" in wanted:
            _server(browser)
        if "fleet" in wanted:
            _fleet(browser)


def _server(browser: Browser) -> None:
    with ExitStack() as stack:
        command = [sys.executable, "-m", "portside", "listen", "127.0.0.1:0", "--web", "--reply", "PING* => PONG\\n"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        assert server.stdout is not None
        assert server.stderr is not None
        link = _wait_for(server.stderr, r"http://\S+")
        port = int(_wait_for(server.stdout, r"listening on 127\.0\.0\.1:(\d+)"))
        for stream in (server.stdout, server.stderr):
            threading.Thread(target=stream.read, daemon=True).start()
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CLIENTS)]
        ended = threading.Event()
        talk = threading.Thread(target=_talk, args=(clients, ended))
        talk.start()
        stack.callback(talk.join)
        stack.callback(ended.set)
        context = browser.new_context(viewport={"width": 1440, "height": 810}, reduced_motion="reduce")
        page = context.new_page()
        page.goto(link)
        _pictures(page, clients[LOOKED_AT - 1])


def _wait_for(stream: object, pattern: str) -> str:
    for line in stream:  # type: ignore[attr-defined]
        if found := re.search(pattern, line):
            return found[found.re.groups]
    raise SystemExit("the server has ended")


def _talk(clients: list[socket.socket], ended: threading.Event) -> None:
    """What the clients send, each at its own pace."""
    turn = 0
    while not ended.wait(0.2):
        turn += 1
        for number, client in enumerate(clients, 1):
            if number == LOOKED_AT or turn % (number % 7 + 2):
                continue
            client.sendall(REQUEST % number if number % 3 else READING % (number, turn % 10, number % 10))


def _pictures(page: Page, client: socket.socket) -> None:
    for number, data in enumerate(
        (b"PING 1\n", READING % (4, 5, 1), BINARY, "grüße von nebenan\n".encode(), b"PING 2\n")
    ):
        client.sendall(data)
        expect(page.locator("#list .totals")).to_contain_text(f"{CLIENTS} open")
        page.goto(f"{page.url.partition('#')[0]}#/connections/{LOOKED_AT}")
        expect(page.locator(".message.in")).to_have_count(number + 1)
    page.get_by_label("Note").fill("the sensor in the cellar")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    page.wait_for_timeout(20_000)  # for lines in the header
    page.screenshot(path=IMAGES / "page-connections.png")

    page.keyboard.press("]")
    page.keyboard.press("p")
    page.get_by_role("button", name="Dismiss").click()
    for number in range(40):
        client.sendall(READING % (4, number % 10, 1) * 20)
        page.wait_for_timeout(250)
    page.get_by_role("button", name="Theme").click()
    expect(page.locator(".byte-path.in .some")).to_be_visible()
    page.screenshot(path=IMAGES / "page-kernel.png")

    page.get_by_role("button", name="Theme").click()
    page.set_viewport_size({"width": 1100, "height": 520})
    page.keyboard.press("5")
    page.get_by_role("button", name="This server").click()
    for _ in range(200):  # until the kernel takes no more from the client that is paused
        client.sendall(READING % (4, 2, 1) * 20)
    expect(page.locator(".finding .severity").first).to_contain_text("warning", timeout=30_000)
    page.screenshot(path=IMAGES / "page-findings.png")

    page.keyboard.press("1")
    page.set_viewport_size({"width": 360, "height": 720})
    page.goto(f"{page.url.partition('#')[0]}#/connections/{LOOKED_AT}")
    page.screenshot(path=IMAGES / "page-narrow.png")


def _fleet(browser: Browser) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from bench.rows.fleet_nodes import nats_server, simulated_nodes

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url, _ = stack.enter_context(nats_server(folder))
        portside = [sys.executable, "-m", "portside"]
        subprocess.run([*portside, "fleet", "init", "--nats", url], check=True)
        stack.enter_context(simulated_nodes(url, folder, RECORDS_A_SECOND))
        page_of = subprocess.Popen([*portside, "fleet", "web", "--nats", url], stderr=subprocess.PIPE, text=True)
        stack.callback(page_of.wait)
        stack.callback(page_of.terminate)
        assert page_of.stderr is not None
        context = browser.new_context(viewport={"width": 1440, "height": 640}, reduced_motion="reduce")
        page = context.new_page()
        page.goto(_wait_for(page_of.stderr, r"http://\S+"))
        time.sleep(90)  # for all nodes, their first minutes, and lines in the header
        page.keyboard.press("4")
        expect(page.get_by_text("100 nodes", exact=True)).to_be_visible()
        page.screenshot(path=IMAGES / "fleet-nodes.png")
        page.keyboard.press("5")
        expect(page.locator(".finding .severity").first).to_be_visible()
        page.screenshot(path=IMAGES / "fleet-findings.png")


if __name__ == "__main__":
    main()
