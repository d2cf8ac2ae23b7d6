"""``portside fleet console`` in a real terminal and ``portside fleet web`` in a real browser, before a real broker."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium, page_at, violations
from conftest import Start
from fleet_agents import Agents, apart, three_machines
from fleet_records import finding, socket
from fleet_stream import make_stream
from nats_server import NatsServer
from playwright.sync_api import Browser, Locator, Page, expect
from support import DEADLINE_S
from tmux import Terminal

from portside.diagnosis.findings import Subject

LONG_MS = 2000 * DEADLINE_S
ACTS = """async (token) => {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const ask = async (method, path) => (await fetch(`/api/v1/${path}`, { method, headers, body: "{}" })).status;
  return [await ask("POST", "drain"), await ask("POST", "connections/7/send"), await ask("DELETE", "access")];
}"""
HOSTILE = "<img/src=x/onerror='window.taken=1'>\x1b[2J\x1b]0;taken\x07\u202e"

Show = Callable[..., Terminal]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A broker with an empty stream."""
    server = NatsServer(tmp_path).start()
    try:
        apart(lambda: make_stream(server.url))
        yield server
    finally:
        server.stop()


@pytest.fixture
def agents(nats: NatsServer) -> Agents:
    return three_machines(nats.url)


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    """A terminal with the console of a fleet in it, which says its exit status at the end."""
    with contextlib.ExitStack() as stack:

        def start(url: str, *, size: tuple[int, int] = (120, 30)) -> Terminal:
            command = f"{sys.executable} -m portside fleet console --nats {url}; echo status $?; cat"
            terminal = Terminal(tmp_path / "tmux", command, size)
            stack.callback(terminal.end)
            return terminal

        yield start


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def lines_with(screen: str, text: str) -> list[str]:
    return [line for line in screen.splitlines() if text in line]


def test_a_journey_in_the_terminal(agents: Agents, show: Show) -> None:
    terminal = show(agents.url)
    screen = terminal.wait("fleet: 4 connections", f"{agents.url}  3 nodes", "web1", "db1", "812/nginx")
    assert screen.index("70000") < screen.index("10.0.0.2:80")  # most bytes in the queues first
    # By node, in the language of watch; a mistake is marked at its place.
    terminal.press("/")
    terminal.wait("Escape take back")
    terminal.type("node = web2 and recq > 1")
    terminal.wait("^^^^", "fleet: 4 connections")
    terminal.press("C-u")
    terminal.type("node = web* and recvq > 0")
    terminal.press("Enter")
    screen = terminal.wait("fleet: 1 connection:", "filter: node = web* and recvq > 0")
    assert lines_with(screen, "10.0.0.2:80")[0].startswith("web2 ")
    # What is wrong is one line for a condition.
    for node in ("web1", "web2"):
        agents.found(node, finding(subject=Subject("program", 7, "nginx", "10.0.0.1:80")))
    terminal.press("d")
    terminal.wait("findings: 1 critical", "close-wait-leak", "2 nodes (web1, web2)", "as the nodes told last")
    terminal.press("Enter")
    terminal.wait("Nodes: web1 web2", "CLOSE_WAIT")
    terminal.press("Escape")
    terminal.press("Escape")
    terminal.wait("fleet: 1 connection:", "1 critical")
    # The machines.
    terminal.press("n")
    screen = terminal.wait("3 nodes: 3 alive", "oslo", "Linux 6.18")
    assert [line.split()[0] for line in screen.splitlines() if " alive " in line][-3:] == ["db1", "web1", "web2"]
    terminal.press("/")
    terminal.type("site = oslo")
    terminal.press("Enter")
    terminal.wait("1 node")
    terminal.press("q")
    terminal.wait("fleet: 1 connection:")
    # What happens.
    agents.closed("db1", "10.0.0.3:5432", "10.9.0.9:77", "postgres", site="oslo")
    terminal.press("e")
    terminal.wait("db1  closed  10.0.0.3:5432 -> 10.9.0.9:77  postgres")
    agents.closed("web1", "10.0.0.1:80", "10.9.0.9:78")
    terminal.wait("web1  closed  10.0.0.1:80 -> 10.9.0.9:78  nginx")
    terminal.press("q")
    terminal.wait("fleet: 1 connection:")
    terminal.press("q")
    terminal.wait("status 0")


def test_no_act_is_offered_in_the_terminal(agents: Agents, show: Show) -> None:
    terminal = show(agents.url)
    screen = terminal.wait("fleet: 4 connections")
    assert not any(word in screen for word in ("pause", "reset", "Enter open"))
    terminal.press("Down")
    for key in ("p", "t", "f", "c", "k", "m", "o", "Enter"):
        terminal.press(key)
    terminal.press("?")
    screen = terminal.wait("portside fleet console", "Nothing here acts")
    assert "throttle" not in screen
    terminal.press("q")
    terminal.press("q")
    terminal.wait("status 0")


def test_a_broker_that_goes_away_and_comes_back_in_the_terminal(agents: Agents, nats: NatsServer, show: Show) -> None:
    terminal = show(agents.url)
    terminal.wait("fleet: 4 connections")
    nats.kill()
    terminal.wait("GONE for", "the connection to the broker is lost", "10.0.0.2:80")
    nats.start()
    agents.open("web2", socket("10.0.0.2:8082", "10.9.0.1:4004"))
    terminal.wait("3 nodes", "10.0.0.2:8082", deadline_s=2 * DEADLINE_S)
    terminal.press("q")
    screen = terminal.wait("status 0")
    assert "Traceback" not in screen


def test_hostile_names_in_the_terminal(agents: Agents, show: Show) -> None:
    name = HOSTILE.replace(" ", "")
    agents.alive(name)
    agents.open(name, socket("10.0.0.9:1", "10.9.0.1:2", program=HOSTILE, send_q=1 << 40))
    agents.found(name, finding(HOSTILE, subject=Subject(HOSTILE, 1, HOSTILE, HOSTILE), summary=HOSTILE))
    agents.closed(name, HOSTILE, HOSTILE, HOSTILE)
    terminal = show(agents.url, size=(200, 30))
    terminal.wait("fleet: 5 connections", "<img/src=x", r"\x1b[2J")
    terminal.press("e")
    terminal.wait("closed", r"\x1b]0;taken\x07\u202e")
    terminal.press("q")
    terminal.press("n")
    terminal.wait("4 nodes", "<img/src=x")
    terminal.press("q")
    terminal.press("d")
    terminal.wait("unknown", "<img/src=x")
    terminal.press("Enter")
    terminal.wait("the page of unknown")
    assert terminal.run("display-message", "-p", "#{pane_title}").strip() != "taken"


def test_no_terminal(start: Start) -> None:
    program = start("fleet", "console", "--nats", "nats://127.0.0.1:1")
    assert program.wait() == 2
    assert b"must be a terminal" in program.err
    assert b"fleet web" in program.err


# The page.


def serve(start: Start, url: str, *more: str) -> str:
    """Start the page; its link."""
    return start("fleet", "web", "--nats", url, *more).wait_for(r"https?://\S+#\S+", err=True)[0]


def rows(page: Page, grid: str) -> Locator:
    """The rows of a table, without its head."""
    return page.get_by_role("grid", name=grid, exact=True).locator(".table-body").get_by_role("row")


def open_view(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()


def test_a_journey_on_the_page(browser: Browser, agents: Agents, start: Start) -> None:
    with page_at(browser, serve(start, agents.url)) as page:
        sockets = rows(page, "Sockets")
        expect(sockets).to_have_count(4)
        expect(page.locator("#address")).to_have_text(f"nodes: 3 alive  {agents.url}")
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(
            ["Events", "Connections", "Nodes", "Findings "]
        )
        expect(page.get_by_role("columnheader", name="Node")).to_be_visible()
        expect(sockets.filter(has_text="10.0.0.3:5432")).to_contain_text("db1")
        assert violations(page) == []
        # By node.
        page.get_by_label("Filter").locator("visible=true").fill("node = web* and recvq > 0")
        expect(sockets).to_have_count(1)
        expect(sockets).to_contain_text("web2")
        page.get_by_label("Filter").locator("visible=true").fill("nod = web1")
        expect(page.locator("#sockets-filter-error mark")).to_have_text("nod")
        # The machines.
        open_view(page, "Nodes")
        expect(rows(page, "Nodes")).to_have_count(3)
        expect(rows(page, "Nodes").filter(has_text="db1")).to_contain_text("oslo")
        page.get_by_label("Filter").locator("visible=true").fill("site = oslo")
        expect(rows(page, "Nodes")).to_have_count(1)
        assert violations(page) == []
        # What is wrong.
        for node in ("web1", "web2"):
            agents.found(node, finding(subject=Subject("program", 7, "nginx", "10.0.0.1:80")))
        open_view(page, "Findings")
        card = page.locator(".finding")
        expect(card).to_have_count(1)
        expect(card).to_contain_text("2 nodes (web1, web2)")
        expect(card).to_contain_text("Nodes: web1 web2")
        expect(page.locator("#finding-count")).to_contain_text("1")
        assert violations(page) == []
        # What happens.
        open_view(page, "Events")
        agents.closed("db1", "10.0.0.3:5432", "10.9.0.9:77", "postgres", site="oslo")
        event = page.locator(".events li").filter(has_text="10.9.0.9:77")
        expect(event).to_have_count(1)
        expect(event.locator(".event-conn")).to_have_text("db1")
        expect(event).to_contain_text("program postgres")
        assert violations(page) == []


def test_no_act_is_offered_on_the_page(browser: Browser, agents: Agents, start: Start) -> None:
    link = serve(start, agents.url)
    with page_at(browser, link) as page:
        expect(rows(page, "Sockets")).to_have_count(4)
        for path in ("connections", "server", "connections/7/transcript"):
            page.evaluate("(path) => { location.hash = `#/${path}`; }", path)
            expect(page).to_have_url(re.compile("#/(machine|nodes)$"))
            for word in ("Send to all", "Drain", "Reset", "Pause", "Throttle"):
                expect(page.get_by_role("button", name=word)).to_have_count(0)
        for key in "123450":
            page.keyboard.press(key)
        token = link.partition("#")[2]
        statuses = page.evaluate(ACTS, token)
        assert set(statuses) <= {403, 405}
        assert len(statuses) == 3


def test_a_broker_that_goes_away_and_comes_back_on_the_page(
    browser: Browser, agents: Agents, nats: NatsServer, start: Start
) -> None:
    with page_at(browser, serve(start, agents.url)) as page:
        expect(rows(page, "Sockets")).to_have_count(4)
        nats.kill()
        expect(page.locator("#gone")).to_be_visible()
        expect(rows(page, "Sockets")).to_have_count(4)
        nats.start()
        agents.open("web2", socket("10.0.0.2:8082", "10.9.0.1:4004"))
        expect(page.locator("#gone")).to_be_hidden(timeout=LONG_MS)
        expect(rows(page, "Sockets").filter(has_text="10.0.0.2:8082")).to_have_count(1, timeout=LONG_MS)


def test_hostile_names_on_the_page(browser: Browser, agents: Agents, start: Start) -> None:
    agents.alive(HOSTILE)
    agents.open(HOSTILE, socket("10.0.0.9:1", "10.9.0.1:2", program=HOSTILE))
    agents.found(HOSTILE, finding(HOSTILE, subject=Subject(HOSTILE, 1, HOSTILE, HOSTILE), summary=HOSTILE))
    agents.closed(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    with page_at(browser, serve(start, agents.url)) as page:
        expect(rows(page, "Sockets").filter(has_text=r"\x1b[2J")).to_have_count(1)
        for view, shown in (("Nodes", ".table-row"), ("Findings", ".finding"), ("Events", ".events li")):
            open_view(page, view)
            expect(page.locator(shown).filter(has_text="<img/src=x").locator("visible=true").first).to_be_visible()
        assert page.evaluate("() => window.taken") is None


def test_the_page_ends_in_order(agents: Agents, start: Start) -> None:
    program = start("fleet", "web", "--nats", agents.url)
    program.wait_for(r"#\S+", err=True)
    assert program.stop() == 0
    assert b"Traceback" not in program.err


@pytest.mark.parametrize("command", ["web", "console"])
def test_help_says_that_it_is_for_reading_alone(start: Start, command: str) -> None:
    program = start("fleet", command, "--help")
    assert program.wait() == 0
    assert b"reading" in program.out
