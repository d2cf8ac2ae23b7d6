"""The page in a real browser, before a real server whose clients are real ``nc``."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from api_client import page_of
from browser import chromium, page_at, violations
from conftest import Start
from full_listener import full_listener
from playwright.sync_api import Browser, Locator, Page, expect
from support import Program, connect, free_port, wait_until

HOSTILE = "<script>window.taken=1</script><img src=x onerror='window.taken=1'>\x1b[2J\x1b]0;taken\x07\u202e"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def nc(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Start ``nc`` to a port; what it receives is on its standard output, its input is a pipe."""
    with ExitStack() as started:

        def start_one(port: int) -> "subprocess.Popen[bytes]":
            client = subprocess.Popen(
                ["nc", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
            started.enter_context(client)
            started.callback(client.kill)
            return client

        yield start_one


def link(server: Program) -> str:
    """The printed link."""
    return server.wait_for(r"https?://\S+#\S+", err=True)[0]


def write(client: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert client.stdin is not None
    client.stdin.write(data)
    client.stdin.flush()


def read_line(client: "subprocess.Popen[bytes]") -> bytes:
    assert client.stdout is not None
    return client.stdout.readline()


def row(page: Page, conn: int) -> Locator:
    """The row of a connection in the table."""
    return page.get_by_role("grid", name="Connections").get_by_role("row").filter(has_text=re.compile(rf"^{conn}127"))


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))


def test_the_journey(browser: Browser, listen: Start, nc: Any) -> None:
    server = listen("--web")
    clients = []
    for number in range(3):
        clients.append(nc(server.port))
        server.wait_for("connected", count=number + 1)
    with page_at(browser, link(server)) as page:
        # Sees three.
        for conn in (1, 2, 3):
            expect(row(page, conn)).to_be_visible()
        expect(page.locator("#address")).to_have_text(f"127.0.0.1:{server.port}")
        expect(page.locator("#figures")).to_contain_text("Open3")
        assert "#" not in page.url or page_of(server).token not in page.url
        assert violations(page) == []

        # Reads one in hex.
        write(clients[0], b"temp=21.5\x00\xff\n")
        row(page, 1).click()
        expect(page.locator(".message .payload")).to_contain_text(r"temp=21.5\0\xff\n")
        page.get_by_role("group", name="Payload").get_by_role("button", name="Hex").click()
        expect(page.locator(".payload.hex")).to_contain_text("74 65 6d 70 3d 32 31 2e")
        assert violations(page) == []
        page.get_by_role("button", name="Both").click()
        expect(page.locator(".message .payload")).to_have_count(2)

        # Sends it a line.
        page.keyboard.press("s")
        expect(page.get_by_label("What to send", exact=True)).to_be_focused()
        page.keyboard.type(r"hello\tthere")
        page.keyboard.press("Enter")
        assert read_line(clients[0]) == b"hello\tthere\n"
        expect(page.locator(".message.out .payload.text")).to_contain_text(r"hello\tthere\n")
        page.locator(".message.out").hover()
        page.get_by_role("button", name="Send again").last.click()
        assert read_line(clients[0]) == b"hello\tthere\n"
        page.get_by_label("Search the transcript").fill("THERE")
        expect(page.locator(".message.found")).to_have_count(2)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")

        # Pauses it, and its Recv-Q grows: in the table, in the picture and in the plot.
        page.keyboard.press("p")
        expect(row(page, 1)).to_contain_text("paused")
        write(clients[0], b"x" * 50_000)
        page.keyboard.press("]")
        waiting = page.locator(".byte-path.in li.some")
        expect(waiting).to_contain_text("in Recv-Q")
        expect(waiting).to_contain_text("48.8 kB")
        expect(page.locator(".plot").filter(has_text="Recv-Q")).to_contain_text("most 48.8 kB")
        expect(row(page, 1)).to_contain_text("48.8k")
        assert violations(page) == []

        # Goes back in time: then nothing waited.
        page.get_by_label("Point in time").focus()
        page.keyboard.press("Home")
        expect(page.locator(".when")).to_contain_text("ago")
        expect(page.locator(".byte-path.in li", has_text="in Recv-Q")).to_contain_text("0 B")
        page.get_by_role("button", name="Now").click()
        expect(waiting).to_contain_text("48.8 kB")

        # The way back of the pause.
        page.get_by_role("button", name="Undo").click()
        expect(row(page, 1)).to_contain_text("open")
        expect(waiting).to_have_count(0)

        # Puts a fault on it, and takes it off.
        page.keyboard.press("f")
        expect(page.get_by_label("New fault")).to_be_focused()
        page.keyboard.type("latincy 1ms")
        page.keyboard.press("Enter")
        expect(page.locator("#fault-error")).to_contain_text("latency")
        page.get_by_label("New fault").fill("latency 30ms")
        page.keyboard.press("Enter")
        expect(page.locator(".faults code")).to_have_text("latency 30ms")
        assert violations(page) == []
        page.get_by_role("button", name="Remove the fault latency 30ms").click()
        expect(page.locator(".faults")).to_contain_text("No fault")

        # Notes, and stays there; filters by what it noted; a mistake is shown at its place.
        page.get_by_label("Note").fill("the slow one")
        page.keyboard.press("Enter")
        page.get_by_role("searchbox", name="Filter").fill("note = *slow*")
        expect(row(page, 2)).to_have_count(0)
        expect(row(page, 1)).to_be_visible()
        expect(page.locator("#list .totals")).to_contain_text("1 match")
        page.get_by_role("searchbox", name="Filter").fill("received > 1k and idel > 3s")
        expect(page.locator(".filter-error mark")).to_have_text("idel")
        assert violations(page) == []
        page.get_by_role("searchbox", name="Filter").fill("")
        expect(row(page, 2)).to_be_visible()
        page.keyboard.press("Escape")

        # Resets another one.
        row(page, 2).click()
        expect(page.locator("#detail h2")).to_contain_text("#2 127.0.0.1:")
        page.keyboard.press("X")
        expect(page.get_by_role("dialog")).to_contain_text("Reset #2?")
        assert violations(page) == []
        page.keyboard.press("Enter")
        assert clients[1].wait(30) == 0 or clients[1].returncode == 1
        expect(row(page, 2)).to_have_count(0)
        page.get_by_role("button", name="Closed").click()
        expect(row(page, 2)).to_contain_text("local reset")

        # What happened is in the stream of events, and so are the acts.
        page.keyboard.press("2")
        events = page.locator(".events li")
        expect(events.filter(has_text="opened")).to_have_count(3)
        for act in ("send", "pause", "resume", "fault", "note", "close"):
            expect(events.filter(has_text=re.compile(rf"act.*{act}")).first).to_be_visible()
        assert violations(page) == []

        # The machine's table has both ends.
        page.keyboard.press("3")
        page.get_by_role("searchbox", name="Filter").fill(f"sport = :{server.port}")
        machine = page.get_by_role("grid", name="Sockets", exact=True)
        expect(machine.get_by_role("row").filter(has_text=f"127.0.0.1:{server.port}").first).to_be_visible()
        assert violations(page) == []

        # Dark, the keys, and 360 px.
        page.keyboard.press("Escape")
        page.keyboard.press("d")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert violations(page) == []
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Pause or resume")
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.set_viewport_size({"width": 360, "height": 740})
        page.keyboard.press("1")
        page.get_by_role("button", name="All", exact=True).click()
        expect(row(page, 1)).to_be_visible()
        assert has_no_sideways_scroll(page)
        page.get_by_role("grid", name="Connections").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.locator("#detail h2")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("grid", name="Connections")).to_be_focused()
        row(page, 1).click()
        for tab in ("Kernel", "Faults", "Transcript"):
            page.get_by_role("tab", name=tab).click()
            expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
            assert has_no_sideways_scroll(page)
            assert violations(page) == []


def test_what_is_wrong_is_shown_marked_explained_and_gone(browser: Browser, listen: Start) -> None:
    server = listen("--web")
    asked: list[str] = []
    with connect(server.port) as client, page_at(browser, link(server)) as page, full_listener() as full:
        page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        page.wait_for_function("() => document.title.startsWith('1 open')")
        for _ in range(2):
            page.wait_for_event("request", lambda request: request.url.endswith("/server"))
        assert "findings" not in asked

        # A listener that accepts nobody: found, explained, with a name that stays text.
        page.keyboard.press("5")
        card = (
            page.locator(".finding").filter(has_text=f"127.0.0.1:{full.port}").filter(has_text="accept-queue-overflow")
        )
        expect(card).to_contain_text(f"{full.pid}/<img src=//x>\\x1b")
        expect(card.get_by_role("row").filter(has_text="limit")).to_have_text(re.compile(r"limit\s*1$"))
        expect(card).to_contain_text("Do: accept in a loop of its own")
        expect(page.locator("#findings .totals")).to_contain_text(re.compile(r"found.*looks in"))
        assert page.locator("#findings img").count() == 0
        assert violations(page) == []
        with page.expect_popup() as opened:
            card.get_by_role("link", name="Why it happens").click()
        expect(opened.value.get_by_role("heading", name="How to prove it")).to_be_visible()
        assert violations(opened.value) == []
        opened.value.close()

        # Its socket is marked in the table of the machine, and opening the row says why.
        page.keyboard.press("3")
        page.get_by_role("button", name="Listening").click()
        page.get_by_role("searchbox", name="Filter").fill(f"sport = :{full.port}")
        page.keyboard.press("Escape")
        marked = page.get_by_role("grid", name="Sockets", exact=True).get_by_role("row").filter(has_text="LISTEN")
        expect(marked).to_have_count(1)
        expect(marked).to_contain_text("accept-queue-overflow")
        marked.click()
        expect(page.get_by_role("dialog")).to_contain_text("The accept queue is")
        assert violations(page) == []
        page.keyboard.press("Escape")
        full.accept()

        # A connection of the server that is paused while its client sends.
        page.keyboard.press("1")
        row(page, 1).click()
        expect(page.locator("#detail h2")).to_contain_text("#1 127.0.0.1:")
        page.keyboard.press("p")
        expect(row(page, 1)).to_contain_text("paused")
        client.setblocking(False)
        try:
            while True:
                client.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        expect(row(page, 1)).to_contain_text("receiver-slow")
        expect(page.locator(".detail-findings")).to_contain_text("receiver-slow")
        expect(page.locator("#finding-count")).to_have_text(re.compile(r"^[▲◆] \d+$"))
        page.keyboard.press("5")
        page.get_by_role("button", name="This server").click()
        slow = page.locator(".finding").filter(has_text="receiver-slow")
        expect(slow.get_by_role("link", name="#1")).to_be_visible()
        expect(card).to_have_count(0)
        page.get_by_role("button", name="This machine").click()
        page.get_by_role("button", name="Theme").click()
        page.set_viewport_size({"width": 360, "height": 740})
        assert has_no_sideways_scroll(page)
        assert violations(page) == []
        slow.get_by_role("link", name="#1").click()

        # What is mended goes away, here and there.
        expect(page.locator("#detail h2")).to_contain_text("#1 127.0.0.1:")
        page.keyboard.press("p")
        expect(page.locator(".detail-findings")).to_be_empty()
        page.keyboard.press("5")
        expect(card).to_have_count(0)
        expect(slow).to_have_count(0)

        # Nothing is asked any more where it is not to be watched.
        page.get_by_role("button", name="Watch in all views").click()
        page.keyboard.press("2")
        page.wait_for_event("request", lambda request: request.url.endswith("/server"))
        asked.clear()
        for _ in range(2):
            page.wait_for_event("request", lambda request: request.url.endswith("/server"))
        assert "findings" not in asked
        expect(page.locator("#finding-count")).to_be_empty()


def test_acts_on_the_whole_server(browser: Browser, listen: Start, nc: Any) -> None:
    server = listen("--web", "--echo")
    client = nc(server.port)
    with page_at(browser, link(server)) as page:
        page.keyboard.press("4")
        expect(page.get_by_role("row").filter(has_text=f"127.0.0.1:{server.port}")).to_be_visible()
        expect(page.locator(".server-panel")).to_contain_text("--echo")
        assert violations(page) == []
        page.get_by_label("What to send to all clients").fill(r"soon\n")
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Send").click()
        assert read_line(client) == b"soon\n"

        page.get_by_label("Most clients", exact=True).fill("1")
        page.keyboard.press("Enter")
        expect(page.locator(".notice").last).to_contain_text("Most clients: 1")
        with connect(server.port) as one_more:
            assert one_more.recv(1) == b""
        page.get_by_role("button", name="Undo").last.click()
        expect(page.get_by_label("Most clients", exact=True)).to_have_value("off")

        page.get_by_label("Address or network").fill("10.0.0.0/8")
        page.get_by_role("button", name="Deny").click()
        expect(page.locator(".net")).to_contain_text("deny 10.0.0.0/8")
        assert violations(page) == []
        page.get_by_role("button", name="Take 10.0.0.0/8 off the list deny").click()
        expect(page.locator(".net")).to_have_count(0)
        page.set_viewport_size({"width": 360, "height": 740})
        assert has_no_sideways_scroll(page)

        page.get_by_role("button", name="Drain").click()
        page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        expect(page.locator(".notice").last).to_contain_text("accepts nobody")
        client.kill()
        assert server.wait() == 0
        expect(page.locator("#gone")).to_be_visible()


def test_the_box_sends_files_hex_and_again_and_again(browser: Browser, listen: Start) -> None:
    server = listen("--web")
    sent = bytes(range(256)) * 8 * 1024
    with connect(server.port) as client, page_at(browser, link(server)) as page:
        row(page, 1).click()
        box = page.get_by_role("form", name="Send")
        box.get_by_role("button", name="Hex").click()
        box.get_by_label("What to send").fill("68 69 0")
        box.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("#send-error")).to_contain_text("a byte is two hex digits")
        box.get_by_label("What to send").fill("68 69 0a")
        box.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator(".notice").last).to_contain_text("3 B sent")
        assert client.recv(100) == b"hi\n"
        # A file that the client takes more slowly than it is read.
        box.get_by_role("button", name="File").click()
        box.get_by_label("File to send").set_input_files({"name": "f", "mimeType": "", "buffer": sent})
        box.get_by_role("button", name="Send", exact=True).click()
        received = bytearray()
        while len(received) < len(sent):
            received += client.recv(1 << 16)
        assert received == sent
        expect(page.locator(".notice").last).to_contain_text("2 MB sent")
        # What was said can be saved, exactly.
        client.sendall(b"\x00\xff from the client")
        expect(page.locator(".message.in")).to_have_count(1)
        page.get_by_text("Save", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="What came in, as bytes").click()
        assert download.value.suggested_filename == "portside-1-in.bin"
        assert download.value.path().read_bytes() == b"\x00\xff from the client"
        # Every tenth of a second, until it is stopped.
        box.get_by_role("button", name="Text").click()
        box.get_by_label("What to send").fill("tick")
        box.get_by_label("Seconds between repetitions").fill("0.1")
        box.get_by_role("button", name="Repeat").click()
        ticks = b""
        while ticks.count(b"tick\n") < 3:
            ticks += client.recv(100)
        box.get_by_role("button", name=re.compile("Stop")).click()
        expect(box.get_by_role("button", name="Repeat")).to_be_visible()


def test_hostile_payload_is_text(browser: Browser, listen: Start, nc: Any) -> None:
    server = listen("--web", "--format", "raw")
    long = nc(server.port)
    write(long, b"a" * 10_000_000)
    wait_until(lambda: len(server.out) == 10_000_000, "the long line")
    hostile = nc(server.port)
    write(hostile, HOSTILE.encode() + b"\n" + "ü".encode()[:1])
    wait_until(lambda: server.out.endswith(b"\xc3"), "all that was sent")
    with page_at(browser, link(server)) as page:
        row(page, 1).click()
        more = page.locator(".message").filter(has_text="Show all 262,144 characters").first
        seq = more.get_attribute("data-seq")
        more.get_by_role("button", name="Show all").click()
        expect(page.locator(f".message[data-seq='{seq}'] .payload")).to_have_text("a" * 262_144)
        page.keyboard.press("1")
        row(page, 2).click()
        shown = r"onerror='window.taken=1'>\x1b[2J\x1b]0;taken\x07\u{202e}\n" + "\n" + r"\xc3"
        expect(page.locator(".payload")).to_contain_text(shown)
        page.keyboard.press("2")
        page.get_by_role("button", name="Payload").click()
        write(hostile, HOSTILE.encode())
        expect(page.locator(".events li").last).to_contain_text(r"\u{202e}")
        assert page.evaluate("() => window.taken") is None
        assert page.locator("main script, main img").count() == 0
        assert page.title().endswith("Portside")


def test_a_server_that_is_killed_and_started_again(browser: Browser, listen: Start, nc: Any) -> None:
    web = f"127.0.0.1:{free_port()}"
    first = listen("--web", web)
    assert page_of(first).address == web
    nc(first.port)
    with page_at(browser, link(first)) as page:
        row(page, 1).click()
        expect(page.locator("#detail h2")).to_contain_text("#1")
        first.signal(signal.SIGKILL)
        first.wait()
        expect(page.locator("#gone")).to_contain_text("The server has not answered since")
        assert violations(page) == []
        second = listen("--web", web)
        expect(page.locator("#token-error")).to_contain_text("A server that was started again has printed a new link")
        assert violations(page) == []
        page.get_by_label("Link or token").fill(link(second))
        page.keyboard.press("Enter")
        expect(page.locator("#gone")).to_be_hidden()
        expect(page.locator("#address")).to_have_text(f"127.0.0.1:{second.port}")
        nc(second.port)
        page.keyboard.press("1")
        expect(row(page, 1)).to_be_visible()


def test_without_a_token_a_form_asks_for_it(browser: Browser, listen: Start) -> None:
    server = listen("--web", "--web-read-only")
    address = f"http://{page_of(server).address}/"
    with page_at(browser, address) as page:
        field = page.get_by_label("Link or token")
        expect(field).to_be_focused()
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#token-error")).to_contain_text("does not take this token")
        field.fill(page_of(server).token)
        page.keyboard.press("Enter")
        expect(page.locator("#list .table-empty")).to_have_text("No client is connected.")
        # A page that may only look has nothing to act with.
        with connect(server.port):
            row(page, 1).click()
            expect(page.locator("#detail h2")).to_contain_text("#1")
            expect(page.locator(".acts")).to_be_hidden()
            expect(page.locator(".send-box")).to_be_hidden()


def test_a_long_table_has_few_elements(browser: Browser, listen: Start) -> None:
    server = listen("--web")
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port)) for _ in range(500)]
        with page_at(browser, link(server)) as page:
            grid = page.get_by_role("grid", name="Connections")
            expect(grid).to_have_attribute("aria-rowcount", "501")
            grid.focus()
            page.keyboard.press("End")
            expect(row(page, 500)).to_be_visible()
            assert grid.get_by_role("row").count() < 80
            page.keyboard.press("Enter")
            expect(page.locator("#detail h2")).to_contain_text("#500")
            clients[499].sendall(b"last\n")
            expect(page.locator(".message")).to_contain_text("last")
            page.get_by_role("button", name="#", exact=False).first.click()
            expect(row(page, 500)).to_be_visible()


def test_it_follows_what_comes_and_stays_where_its_reader_looks(browser: Browser, listen: Start) -> None:
    server = listen("--web", "--format", "raw")
    with connect(server.port) as client, page_at(browser, link(server)) as page:
        row(page, 1).click()
        messages = page.locator(".message")
        for number in range(1, 601):  # one read each, so that each is a message
            client.sendall(b"%06d\n" % number)
            wait_until(lambda: len(server.out) == 7 * number, "the line")  # noqa: B023
        expect(messages.last).to_contain_text("000600")
        expect(messages.last).to_be_in_viewport()
        expect(messages).to_have_count(500)
        page.locator(".transcript").evaluate("element => element.scrollTop = 0")
        expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
        first = messages.first.get_attribute("data-seq")
        client.sendall(b"one more\n")
        more = page.get_by_role("button", name="1 new")
        expect(more).to_be_visible()
        expect(page.locator(f".message[data-seq='{first}']")).to_be_in_viewport()
        page.get_by_role("button", name="Show earlier").click()
        expect(messages).to_have_count(601)
        expect(page.locator(f".message[data-seq='{first}']")).to_be_in_viewport()
        # A match that has no element yet gets one.
        page.get_by_label("Search the transcript").fill("000007")
        page.keyboard.press("Enter")
        expect(page.locator(".message.at")).to_contain_text("000007")
        expect(page.locator(".message.at")).to_be_in_viewport()
        more.click()
        expect(messages.last).to_contain_text("one more")
        expect(messages.last).to_be_in_viewport()


def test_a_transcript_is_whole_though_the_stream_has_skipped(browser: Browser, listen: Start) -> None:
    server = listen("--web", "--format", "raw")
    with connect(server.port) as quiet, connect(server.port) as busy, page_at(browser, link(server)) as page:
        quiet.sendall(b"before\n")
        row(page, 1).click()
        expect(page.locator(".message")).to_contain_text(["before"])
        # While the page is away, more passes on another connection than the ring of events holds.
        page.context.set_offline(True)
        expect(page.locator("#gone")).to_be_visible()
        quiet.sendall(b"meanwhile\n")
        for _ in range(40):
            busy.sendall(bytes(1 << 20))
        wait_until(lambda: len(server.out) >= 40 << 20, "all that was sent")
        quiet.sendall(b"after\n")
        page.context.set_offline(False)
        expect(page.locator(".message")).to_contain_text(["before", "meanwhile", "after"])


def test_all_servers_on_one_page(browser: Browser, listen: Start, start: Start, nc: Any) -> None:
    servers = sorted((listen("--echo"), listen("--echo")), key=lambda each: each.process.pid)
    clients = [nc(each.port) for each in servers]
    for server, client in zip(servers, clients, strict=True):
        write(client, b"hello\n")
        assert read_line(client) == b"hello\n"
        server.wait_for("connected")
    names = [f"{each.process.pid}/1" for each in servers]
    with page_at(browser, link(start("console", "--all", "--web"))) as page:
        table = page.get_by_role("grid", name="Connections")
        for name in names:
            expect(table.get_by_role("row").filter(has_text=name)).to_contain_text("127.0.0.1:")
        expect(page.locator("#address")).to_contain_text(f"2 servers 127.0.0.1:{servers[0].port}")
        table.get_by_role("row").filter(has_text=names[1]).click()
        expect(page).to_have_url(re.compile(f"#/connections/{names[1]}/transcript$"))
        expect(page.get_by_role("heading", name=f"#{names[1]} 127.0.0.1:")).to_be_visible()
        write(clients[1], b"from the second\n")
        assert read_line(clients[1]) == b"from the second\n"
        expect(page.locator(".message.in .payload.text").last).to_contain_text("from the second")
        page.get_by_label("What to send", exact=True).fill("to the second")
        page.keyboard.press("Enter")
        assert read_line(clients[1]) == b"to the second\n"
        page.keyboard.press("Escape")
        page.keyboard.press("p")
        expect(table.get_by_role("row").filter(has_text=names[1])).to_contain_text("paused")
        page.reload()
        expect(page.get_by_role("heading", name=f"#{names[1]} 127.0.0.1:")).to_be_visible()

        page.keyboard.press("2")
        expect(page.locator(".events li", has_text="pause").get_by_role("link", name=f"#{names[1]}")).to_be_visible()
        page.get_by_role("button", name="Payload").click()
        expect(page.locator(".events li", has_text="from the second")).to_have_count(2)  # in, and out again
        expect(page.locator(".events li", has_text="pause")).to_have_count(1)  # it came once more, and is there once
        assert violations(page) == []

        page.keyboard.press("4")
        each = page.get_by_role("region", name="Server").get_by_role("row")
        expect(each.filter(has_text=str(servers[1].process.pid))).to_contain_text(f"127.0.0.1:{servers[1].port}")
        expect(page.get_by_role("heading", name="Limits")).to_be_hidden()
        page.get_by_label("What to send to all clients").fill(r"all\n")
        page.get_by_role("button", name="Send to all").click()
        page.get_by_role("dialog").get_by_role("button", name="Send").click()
        assert [read_line(client) for client in clients] == [b"all\n"] * 2
        assert violations(page) == []

        assert servers[0].stop() == 0
        expect(page.locator("#address")).to_contain_text(f"1 server 127.0.0.1:{servers[1].port}")
        page.keyboard.press("1")
        expect(table.get_by_role("row").filter(has_text=names[0])).to_have_count(0)
