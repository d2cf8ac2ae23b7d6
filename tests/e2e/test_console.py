"""``portside console`` and ``listen --tui`` in a real terminal, with a real server and real ``nc`` clients."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_client import loaded
from conftest import Start
from full_listener import full_listener
from support import connect, free_port, has_ended, wait_until
from tmux import Terminal

PORTSIDE = f"{sys.executable} -m portside"


class Nc:
    """A client: ``nc`` with pipes, and what it has printed in a file."""

    def __init__(self, port: int, out: Path) -> None:
        self._out = out
        with out.open("wb") as file:
            self.process = subprocess.Popen(["nc", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=file)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    @property
    def printed(self) -> bytes:
        """What it has printed."""
        return self._out.read_bytes()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


Clients = Callable[[int], Nc]
Show = Callable[..., Terminal]


@pytest.fixture
def nc(tmp_path: Path) -> Iterator[Clients]:
    with contextlib.ExitStack() as stack:
        numbers = iter(range(100))

        def start(port: int) -> Nc:
            client = Nc(port, tmp_path / f"nc{next(numbers)}")
            stack.callback(client.end)
            return client

        yield start


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    """A terminal with a command of portside in it, which says its exit status at the end."""
    with contextlib.ExitStack() as stack:

        def start(command: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
            terminal = Terminal(tmp_path / "tmux", f"echo before; {PORTSIDE} {command}; echo status $?; cat", size, env)
            stack.callback(terminal.end)
            return terminal

        yield start


def recv_q(screen: str) -> int:
    """Recv-Q of the only connection whose row is on the screen, in kilobytes."""
    found = re.search(r"(\d+(?:\.\d+)?)([kM]) Recv-Q", screen)
    return 0 if found is None else int(float(found[1]) * {"k": 1, "M": 1024}[found[2]])


def back_in_time(terminal: Terminal) -> str:
    """The screen, one step further back than it was."""

    def time_of(screen: str) -> str:
        found = re.search(r"at [\d:]+ UTC", screen)
        return found[0] if found else ""

    before = time_of(terminal.text)
    terminal.press("Left")

    def moved() -> str:
        screen = terminal.text
        return screen if time_of(screen) not in ("", before) else ""

    return str(wait_until(moved, "another time"))


def test_a_journey(listen: Start, nc: Clients, show: Show) -> None:
    port = free_port()
    server = listen(address=f"127.0.0.1:{port}")
    assert server.port == port
    clients = [nc(port) for _ in range(3)]
    for client in clients:  # in this order
        client.send(b"here\n")
        server.wait_for(r"here$", count=clients.index(client) + 1)
    terminal = show(f"console {port}")
    terminal.wait("3 open connections", f"127.0.0.1:{port}  pid {server.process.pid}")
    # Reads one in hex, with what would colour the terminal.
    terminal.press("Down")
    terminal.press("Enter")
    screen = terminal.wait("before the first look", "kernel: ESTABLISHED", "send> press Enter")
    number, peer = re.search(r"#(\d+) 127\.0\.0\.1:(\d+)", screen).groups()  # type: ignore[union-attr]
    first = clients[[_port_of(each) for each in clients].index(int(peer))]
    first.send(b"\x1b[31mred\x07\n")
    terminal.wait(r"> \x1b[31mred\x07")
    terminal.press("x")
    terminal.wait("1b 5b 33 31 6d 72 65 64  07 0a", "|.[31mred..|")
    # Answers with a line, which nc prints.
    terminal.press("Enter")
    terminal.wait("send line>")
    terminal.type(r"hello \x41")
    terminal.press("Enter")
    terminal.wait(f"#{number}: sent 8 B", "< 8 B")
    wait_until(lambda: first.printed == b"hello A\n", "nc to print it")
    terminal.press("Escape")
    terminal.wait("send> press Enter")
    # Pauses it: what it sends waits in the kernel, and its Recv-Q grows in the plot.
    terminal.press("p")
    terminal.wait(f"#{number}: paused", "  paused  ")
    first.send(b"x" * 60_000)
    wait_until(lambda: recv_q(terminal.text) > 50, "Recv-Q to grow")
    wait_until(lambda: re.search(r"Recv-Q +\d+(\.\d+)?[kM] +▁*[▂-█]", terminal.text), "the plot to rise")
    # Goes back in time, to when it was empty.
    wait_until(lambda: " 0 Recv-Q" in back_in_time(terminal), "the time when it was empty")
    terminal.press("Escape")
    terminal.wait("now, 1m before")
    terminal.press("p")
    terminal.wait("resumed", " 0 Recv-Q")
    # Puts a fault on it.
    terminal.press("f")
    terminal.wait("fault on #")
    terminal.type("latency 300ms")
    terminal.press("Enter")
    terminal.wait("fault 1: latency 300ms, active")
    # Resets another: its nc ends.
    terminal.press("Escape")
    terminal.wait("3 open connections", "fault")
    terminal.press("End")
    terminal.press("k")
    screen = terminal.wait("Reset this connection?")
    victim = int(re.search(r"#\d+  127\.0\.0\.1:(\d+)", screen)[1])  # type: ignore[index]
    gone = clients[[_port_of(each) for each in clients].index(victim)]
    terminal.press("y")
    terminal.wait("2 open connections")
    assert gone.process.wait(30) is not None
    # Filters.
    terminal.press("/")
    terminal.wait("Escape take back")
    terminal.type(f"peer :{peer} and idel > 1s")
    terminal.wait("^^^^", "did you mean idle?", "2 open connections")
    for _ in range(len(" and idel > 1s")):
        terminal.press("BSpace")
    terminal.press("Enter")
    terminal.wait("1 open connection:", f"filter: peer :{peer}")
    terminal.press("/")
    terminal.press("C-u")
    terminal.press("Enter")
    terminal.wait("2 open connections")
    # Survives a restart of the server.
    server.kill()
    terminal.wait("GONE for")
    again = listen(address=f"127.0.0.1:{port}")
    assert again.port == port
    terminal.wait(f"pid {again.process.pid}", "0 open connections", "nobody is connected now")
    client = nc(port)
    client.send(b"anew\n")
    terminal.wait("1 open connection:")
    terminal.press("e")
    terminal.wait("> anew")
    terminal.press("q")
    terminal.wait("1 open connection:")
    terminal.press("q")
    assert terminal.wait("status 0").split()[:3] == ["before", "status", "0"]
    terminal.type("echoed")
    terminal.wait("echoed")


def test_all_servers_as_one(listen: Start, nc: Clients, show: Show) -> None:
    servers = sorted((loaded(listen()), loaded(listen())), key=lambda each: each.process.pid)
    clients = [nc(each.port) for each in servers]
    for server, client in zip(servers, clients, strict=True):
        client.send(b"here\n")
        server.wait_for("here$")
    first, second = (each.process.pid for each in servers)
    terminal = show("console --all", (110, 24))
    terminal.wait("2 open connections", "2 servers on ", f"{first}/1 127.0.0.1:", f"{second}/1 127.0.0.1:")
    terminal.press("Down")
    terminal.press("Down")
    terminal.press("Enter")
    terminal.wait(f"#{second}/1 127.0.0.1:", "kernel: ESTABLISHED")
    terminal.press("Enter")
    terminal.wait("send line>")
    terminal.type("hello")
    terminal.press("Enter")
    terminal.wait(f"#{second}/1: sent 6 B")
    servers[1].wait_for("< hello$")
    terminal.press("Escape")
    terminal.wait("send> press Enter")
    terminal.press("Escape")
    terminal.wait("2 open connections")
    terminal.press("e")
    clients[0].send(b"there\n")
    terminal.wait(f"{first}/1 127.0.0.1:", "> there", f"{second}/1 127.0.0.1:", "operator: sent 6 B")
    assert servers[0].stop() == 0
    terminal.wait(f"{first}  stopped: signal", "1 server on ")
    terminal.press("Escape")
    terminal.wait("1 open connection:")
    terminal.press("q")
    terminal.wait("status 0")


def test_what_is_wrong_is_said_marked_and_gone(listen: Start, show: Show) -> None:
    server = loaded(listen())
    with connect(server.port) as client, full_listener() as full:
        terminal = show(f"console {server.port}", (110, 30))
        terminal.wait("1 open connection:")
        terminal.press("d")
        where = f"127.0.0.1:{full.port}  {full.pid}/<img src=//x>\\x1b"
        screen = terminal.wait("accept-queue-overflow", where)
        assert re.search(r"findings: .*; \d+ looks in ", screen)
        # A client that sends while nobody reads.
        terminal.press("q")
        terminal.press("Down")
        terminal.press("p")
        terminal.wait("#1: paused")
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(1 << 16))
        wait_until(lambda: re.search(r"#?1 127\.0\.0\.1:\d+ +[!·] paused", terminal.text), "the mark")
        terminal.press("Enter")
        terminal.wait("receiver-slow: ", "unread on 1 connection")
        # Mended, it is gone.
        terminal.press("p")
        full.accept()
        wait_until(lambda: "receiver-slow" not in terminal.text, "the sentence to go")
        terminal.press("q")
        terminal.press("d")
        wait_until(lambda: "findings: " in (shown := terminal.text) and f":{full.port} " not in shown, "it to be gone")
        terminal.press("q")
        terminal.press("q")
        terminal.wait("status 0")


def _port_of(client: Nc) -> int:
    """The local port of a client, as the kernel knows it."""
    inodes = set()
    for fd in Path(f"/proc/{client.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes:
            return int(words[1].partition(":")[2], 16)
    return 0


def test_the_link_of_a_page_and_one_that_may_only_look(listen: Start, show: Show) -> None:
    server = listen("--web", "--web-read-only")
    (link,) = re.findall(r"http://\S+", server.wait_for(r"the page is at .*$", err=True)[0])
    with connect(server.port):
        terminal = show(f"console '{link}'")
        terminal.wait("1 open connection:", "READ ONLY")
        terminal.press("Down")
        terminal.press("p")
        terminal.wait("this page may only look (--web-read-only)")
        terminal.press("q")
        terminal.wait("status 0")
        assert "#" + link.partition("#")[2] not in terminal.text


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("console", 1, "no server: none runs here"),
        ("console 1 2", 2, "it takes one SERVER"),
        ("console --all 1", 2, "--all and SERVER exclude each other"),
        ("console </dev/null", 2, "must be a terminal"),
        ("listen 0 --tui 2>&1 >/dev/null", 2, "must be a terminal"),
        ("listen 0 --tui --format raw", 2, "--tui and --format exclude each other"),
        ("listen 0 --tui --no-control", 2, "--tui and --no-control exclude each other"),
        ("listen 0 --tui --stdin", 2, "--tui and --stdin exclude each other"),
    ],
)
def test_what_cannot_be_shown_is_said(show: Show, command: str, status: int, words: str) -> None:
    terminal = show(f"{command} 2>&1" if "2>&1" not in command else command)
    terminal.wait(words, f"status {status}")


def test_a_dumb_terminal(show: Show) -> None:
    terminal = show("console 2>&1; TERM=dumb " + PORTSIDE + " console 2>&1")
    terminal.wait("this terminal cannot show it: TERM=dumb", "status 2")


@pytest.mark.parametrize("how", ["C-c", "q", "TERM", "INT", "HUP"])
def test_the_console_ends_in_order(listen: Start, show: Show, how: str) -> None:
    server = loaded(listen())
    terminal = show(f"console {server.port}")
    terminal.wait("nobody is connected now")
    if how.isupper() and how != "C-c":
        os.kill(terminal.pid(), getattr(signal, f"SIG{how}"))
    else:
        terminal.press(how)
    assert terminal.wait("status 0").split()[:3] == ["before", "status", "0"]
    terminal.type("echoed")
    terminal.wait("echoed")


def test_ctrl_z_and_going_on(listen: Start, show: Show) -> None:
    terminal = show(f"console {loaded(listen()).port}")
    terminal.wait("nobody is connected now")
    pid = terminal.pid()
    terminal.press("C-z")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "it to stop")
    assert "before" in terminal.wait("before")
    os.kill(pid, signal.SIGCONT)
    terminal.wait("nobody is connected now")
    terminal.press("q")
    terminal.wait("status 0")


# listen --tui.


def console_of(server: int) -> int:
    """The process of the console beside a server."""

    def child() -> int:
        for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split():
            if b"beside_server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        return 0

    found: int = wait_until(child, "the console")
    return found


def port_on(screen: str) -> int:
    """The port in the header."""
    return int(re.search(r"127\.0\.0\.1:(\d+)", screen)[1])  # type: ignore[index]


def in_order(terminal: Terminal, status: int = 0) -> str:
    """The screen once the server has ended and the terminal is as it was before."""
    screen = terminal.wait(f"status {status}")
    assert screen.split()[0] == "before"
    terminal.type("echoed")
    terminal.wait("echoed")
    return screen


def test_a_server_with_its_console(nc: Clients, show: Show, tmp_path: Path) -> None:
    terminal = show(f"listen 127.0.0.1:0 --tui --web --greet 'hi\\n' -o {tmp_path / 'events.jsonl'}")
    screen = terminal.wait("nobody is connected now", "the page is at http://127.0.0.1:")
    client = nc(port_on(screen))
    terminal.wait("1 open connection:")
    client.send(b"said before anybody looked\n")
    terminal.press("Enter")
    terminal.wait("< hi", "> said before anybody looked")
    terminal.press("Enter")
    terminal.wait("send line>")
    terminal.type("answer")
    terminal.press("Enter")
    wait_until(lambda: client.printed == b"hi\nanswer\n", "the answer")
    terminal.press("C-c")
    terminal.wait("End the server too? 1 client connected.")
    terminal.press("n")
    terminal.wait("send line>")
    terminal.press("C-c")
    terminal.wait("End the server too?")
    terminal.press("y")
    assert "the page is at http://127.0.0.1:" in in_order(terminal)
    events = (tmp_path / "events.jsonl").read_text()
    assert '"text":"said before anybody looked\\n"' in events
    assert '"event":"stopped"' in events


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_both(show: Show, number: signal.Signals) -> None:
    terminal = show("listen 127.0.0.1:0 --tui")
    terminal.wait("nobody is connected now")
    server = terminal.pid()
    console = console_of(server)
    os.kill(server, number)
    in_order(terminal)
    assert has_ended(console)


def test_the_server_is_killed(show: Show) -> None:
    terminal = show("listen 127.0.0.1:0 --tui")
    terminal.wait("nobody is connected now")
    console = console_of(terminal.pid())
    os.kill(terminal.pid(), signal.SIGKILL)  # the shell may say so on the console's screen, which goes away then
    wait_until(lambda: has_ended(console), "the console to end")
    wait_until(lambda: "before" in terminal.text, "the screen from before")
    terminal.type("echoed")
    terminal.wait("echoed")


def test_the_console_is_killed(show: Show) -> None:
    terminal = show("listen 127.0.0.1:0 --tui")
    terminal.wait("nobody is connected now")
    os.kill(console_of(terminal.pid()), signal.SIGKILL)
    assert "the console was killed by signal 9, and the server ends with it" in in_order(terminal, 1)


def test_the_window_is_closed(show: Show) -> None:
    terminal = show("listen 127.0.0.1:0 --tui")
    terminal.wait("nobody is connected now")
    server = terminal.pid()
    console = console_of(server)
    terminal.end()
    wait_until(lambda: has_ended(server) and has_ended(console), "both to end")


def test_clients_have_their_time_when_both_end(nc: Clients, show: Show) -> None:
    terminal = show("listen 127.0.0.1:0 --tui --drain 60s")
    client = nc(port_on(terminal.wait("nobody is connected now")))
    terminal.wait("1 open connection:")
    terminal.press("q")
    terminal.wait("End the server too? 1 client connected.")
    terminal.press("y")
    terminal.wait("before", "waits up to")
    client.end()
    in_order(terminal)


def test_what_programs_of_clients_say_is_shown_and_kept(nc: Clients, show: Show) -> None:
    terminal = show("listen 127.0.0.1:0 --tui --sh-exec 'printf \"it\\033[31m fails\\n\" >&2'")
    nc(port_on(terminal.wait("nobody is connected now")))
    terminal.wait(r"it\x1b[31m fails")
    terminal.press("e")
    terminal.wait(r"-- portside: #1: it\x1b[31m fails")
    terminal.press("q")
    terminal.wait("all keys")
    terminal.press("q")
    terminal.wait("End the server too?")
    terminal.press("y")
    assert r"it\x1b[31m fails" in in_order(terminal)


def test_no_control_socket_can_be_made(show: Show, tmp_path: Path) -> None:
    (tmp_path / "portside").write_text("no folder")
    terminal = show("listen 127.0.0.1:0 --tui", XDG_RUNTIME_DIR=str(tmp_path))
    terminal.wait("no control socket", "it is no folder", "status 1")


def test_the_console_loads_neither_numpy_nor_the_web_stack() -> None:
    code = (
        "import sys, portside.tui.console.run, portside.control.client.finder; "
        "print([name for name in ('numpy', 'starlette', 'uvicorn', 'websockets', 'psutil') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
