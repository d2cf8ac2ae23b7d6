"""``portside watch`` on a terminal: a real tmux, in a network namespace where nobody else is."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netns import other_netns
from support import has_ended, wait_until
from tmux import Terminal

from portside.kernel.netns import Namespace

TITLES = "Proto Recv-Q Send-Q Local Address"


class Network:
    """A network namespace, and sockets in it that this process holds."""

    def __init__(self, pid: int, stack: contextlib.ExitStack) -> None:
        self.pid = pid
        self._namespace = Namespace(str(pid))
        self._stack = stack
        stack.callback(self._namespace.close)

    def listener(self, host: str = "127.0.0.1") -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return self._stack.enter_context(self._namespace.run(lambda: socket.create_server((host, 0), family=family)))

    def run(self, *words: str) -> None:
        """Run a command in it."""
        self._namespace.run(lambda: subprocess.run(words, check=True))

    def plain_socket(self) -> socket.socket:
        """A socket that is neither bound nor connected."""
        return self.keep(self._namespace.run(socket.socket))

    def keep(self, held: socket.socket) -> socket.socket:
        """Hold a socket until the end."""
        return self._stack.enter_context(held)

    def connect_only(self, listener: socket.socket) -> socket.socket:
        """The client's end of a connection that nobody accepts yet."""
        client = self.plain_socket()
        client.connect(listener.getsockname())
        return client

    def connect(self, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection: the client's, the server's."""
        client = self._namespace.run(lambda: socket.create_connection(listener.getsockname()[:2], timeout=30))
        self._stack.enter_context(client)
        return client, self._stack.enter_context(listener.accept()[0])


class Table(Terminal):
    """A tmux with ``portside watch`` in it."""

    @property
    def rows(self) -> list[str]:
        """The lines of the table."""
        lines = self.text.rstrip("\n").split("\n")
        titles = next((number for number, line in enumerate(lines) if "Foreign" in line), len(lines))
        return [line for line in lines[titles + 1 : -1] if line.strip()]

    def wait_rows(self, condition: Callable[[list[str]], Any], what: str) -> list[str]:
        """The lines of the table, once they are as they should be."""

        def there() -> list[str]:
            rows = self.rows
            return rows if condition(rows) else []

        found: list[str] = wait_until(there, what)
        return found

    def wait_column(self, number: int, condition: Callable[[list[str]], Any], what: str) -> None:
        """Wait until a column of the table is as it should be; a row that is not whole yet has less of them."""
        self.wait_rows(lambda rows: condition([" ".join(row.split()[number : number + 1]) for row in rows]), what)


Watch = Callable[..., Table]


@pytest.fixture
def network() -> Iterator[Network]:
    with contextlib.ExitStack() as stack:
        yield Network(stack.enter_context(other_netns()).pid, stack)


@pytest.fixture
def watch(network: Network, tmp_path: Path) -> Iterator[Watch]:
    with contextlib.ExitStack() as stack:

        def start(arguments: str = "", size: tuple[int, int] = (100, 20), env: dict[str, str] | None = None) -> Table:
            watching = f"{sys.executable} -m portside watch --netns {network.pid} --interval 200ms {arguments}"
            terminal = Table(tmp_path / "tmux", f"echo before; {watching}; echo status $?; cat", size, env)
            stack.callback(terminal.end)
            return terminal

        yield start


def port(sock: socket.socket) -> int:
    found: int = sock.getsockname()[1]
    return found


def test_connections_come_change_and_go(network: Network, watch: Watch) -> None:
    terminal = watch()
    screen = terminal.wait("there are no connections here now", "0 sockets", "netlink, every 0.200s")
    assert TITLES in screen
    client, server = network.connect(network.listener())
    terminal.wait("2 sockets  ESTABLISHED 2")
    ends = [f"127.0.0.1:{port(client)}", f"127.0.0.1:{port(server)}"]
    ours = ["tcp", "0", "0", *ends, "ESTABLISHED", str(os.getpid())]
    terminal.wait_rows(lambda rows: ours in [re.split(" +|/", row)[:7] for row in rows], "the client's end")
    client.send(b"12345")
    terminal.wait_column(1, lambda queues: "5" in queues, "Recv-Q")
    client.shutdown(socket.SHUT_WR)
    terminal.wait("CLOSE_WAIT 1", "FIN_WAIT2 1")
    server.recv(5)
    server.close()
    terminal.wait(" gone ")
    terminal.wait("TIME_WAIT 1")
    client.close()
    terminal.wait_rows(lambda rows: len(rows) == 1 and "TIME_WAIT" in rows[0], "what is gone to go")
    terminal.press("q")
    assert terminal.wait("status 0").split()[:3] == ["before", "status", "0"]


@pytest.mark.parametrize("how", ["C-c", "q", "TERM", "INT", "HUP"])
def test_it_ends_in_order(watch: Watch, how: str) -> None:
    """The terminal is as it was before: what it had shown is there, and what is typed."""
    terminal = watch()
    terminal.wait("0 sockets")
    if how.isupper() and how != "C-c":
        subprocess.run(["kill", f"-{how}", str(terminal.pid())], check=True)
    else:
        terminal.press(how)
    assert terminal.wait("status 0").split()[:3] == ["before", "status", "0"]
    terminal.type("echoed")
    terminal.wait("echoed")


@pytest.mark.parametrize("tries", range(5))
def test_the_window_is_closed(network: Network, watch: Watch, tries: int) -> None:
    listener = network.listener()
    for _ in range(30):
        network.connect(listener)
    terminal = watch()
    terminal.wait("60 sockets")
    pid = terminal.pid()
    terminal.end()
    wait_until(lambda: has_ended(pid), "the program to end")


def test_standard_error_is_elsewhere(watch: Watch, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    terminal = watch(f"2>{errors}")
    terminal.wait("0 sockets")
    terminal.press("q")
    terminal.wait("status 0")
    assert errors.read_bytes() == b""


def test_ctrl_z_and_going_on(network: Network, watch: Watch) -> None:
    terminal = watch()
    terminal.wait("0 sockets")
    pid = terminal.pid()
    subprocess.run(["kill", "-CONT", str(pid)], check=True)  # it did not stop: nothing happens
    terminal.press("C-z")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "it to stop")
    network.connect(network.listener())
    subprocess.run(["kill", "-CONT", str(pid)], check=True)
    terminal.wait("2 sockets")
    terminal.press("q")
    terminal.wait("status 0")


def test_ctrl_c_over_help_and_while_a_filter_is_typed(watch: Watch) -> None:
    terminal = watch()
    terminal.wait("0 sockets")
    terminal.press("?")
    terminal.wait("Every TCP connection of this machine", "Escape, Enter or q: back")
    terminal.press("Escape")
    terminal.wait("0 sockets")
    terminal.press("/")
    terminal.wait("Escape take back")
    terminal.press("C-c")
    terminal.wait("status 0")


def test_sorting_and_the_selection(network: Network, watch: Watch) -> None:
    listener = network.listener()
    clients = [network.connect(listener)[0] for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(b"x" * (number + 1))
    terminal = watch(f"dport = :{port(listener)} or sport = :{port(listener)}")
    terminal.wait("10 sockets")
    terminal.press("2")
    terminal.wait("Recv-Q▲")
    terminal.press("2")
    terminal.wait("Recv-Q▼")
    terminal.wait_column(1, lambda queues: queues[:6] == ["5", "4", "3", "2", "1", "0"], "the fullest first")
    terminal.press("r")
    terminal.wait("Recv-Q▲")
    terminal.wait_column(1, lambda queues: queues[-3:] == ["3", "4", "5"], "the fullest last")
    terminal.press(">")
    terminal.wait("Send-Q▲")
    terminal.press("<")
    terminal.wait("Recv-Q▲")
    terminal.press("End")
    selected = f"127.0.0.1:{port(clients[4])}"

    def is_selected() -> bool:
        lines = [line for line in terminal.styled.split("\n") if re.match(r"(\x1b\[[0-9;]*m)*\x1b\[7mtcp", line)]
        return len(lines) == 1 and selected in lines[0]

    wait_until(is_selected, "the last to be selected")
    terminal.press("r")
    terminal.wait_column(1, lambda queues: queues[:1] == ["5"], "the other order")
    wait_until(is_selected, "it to be selected still")
    network.connect(listener)
    terminal.wait("12 sockets")
    wait_until(is_selected, "it to be selected still")


def test_a_filter_as_it_is_typed(network: Network, watch: Watch) -> None:
    listener = network.listener()
    other = network.listener()
    for each in (listener, listener, other):
        network.connect(each)
    terminal = watch()
    terminal.wait("6 sockets")
    terminal.press("/")
    terminal.type(f"sport = :{port(listener)}")
    terminal.wait("2 sockets")
    terminal.type(" an")

    def pointed_at() -> bool:
        lines = terminal.text.split("\n")
        place = next((number for number, line in enumerate(lines) if line.startswith("/ sport")), -1)
        mark, word = lines[place + 1].find("^"), lines[place].find(" an")
        return 0 < mark == word + 1 and bool(lines[place + 2].strip())

    wait_until(pointed_at, "what is wrong to be marked")
    terminal.wait("^^", "2 sockets")  # the last good one stays
    terminal.press("BSpace", "BSpace", "BSpace", "Enter")
    terminal.wait(f"filter: sport = :{port(listener)}", "q quit")
    terminal.press("/")
    terminal.type(" or sport = 1-65535")
    terminal.wait("6 sockets")
    terminal.press("Escape")
    terminal.wait("2 sockets", f"filter: sport = :{port(listener)}")
    terminal.press("/", "C-u")
    terminal.wait("6 sockets")
    terminal.type("state syn-sent")
    terminal.wait("no socket matches  state syn-sent")


def test_a_filter_names_the_interfaces_of_the_network(network: Network, watch: Watch) -> None:
    network.run("ip", "link", "add", "name", "12there", "type", "bridge")
    bound, other = network.listener(), network.listener()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"12there")
    terminal = watch("--listening")
    terminal.wait("2 sockets")
    terminal.press("/")
    terminal.type("dev = 12there")
    terminal.wait("1 socket", f"127.0.0.1%12there:{port(bound)}")
    terminal.press("C-u")
    terminal.type("dev != 12there")
    terminal.wait("1 socket", f"127.0.0.1:{port(other)}")


def test_the_process_of_the_network_ends(network: Network, watch: Watch) -> None:
    """Another filter is applied to the network that it was, whatever its number stands for by then."""
    listener, other = network.listener(), network.listener()
    network.connect(listener)
    network.connect(other)
    terminal = watch()
    terminal.wait("4 sockets")
    os.kill(network.pid, signal.SIGKILL)

    def ended() -> bool:
        try:
            os.readlink(f"/proc/{network.pid}/ns/net")
        except OSError:
            return True
        return False

    wait_until(ended, "the process to end")
    terminal.press("/")
    terminal.type(f"sport = :{port(listener)}")
    terminal.press("Enter")
    terminal.wait("1 socket ", f"filter: sport = :{port(listener)}")
    terminal.press("Down", "Enter")
    terminal.wait("info", "Escape, Enter or q: back")
    terminal.press("Escape")
    terminal.wait("q quit")
    terminal.press("k")
    terminal.wait("Destroy this socket?")
    terminal.press("y")
    terminal.wait("destroyed 127.0.0.1")


def test_by_age_and_hardly_ever(network: Network, watch: Watch) -> None:
    network.connect(network.listener())
    terminal = watch("--wide --sort -age --interval 1000h", (160, 20))
    terminal.wait("2 sockets", "Age▼", "every 1000h00m00s")
    terminal.press("r")
    terminal.wait("Age▲")


def test_pause(network: Network, watch: Watch) -> None:
    listener = network.listener()
    network.connect(listener)
    terminal = watch()
    terminal.wait("2 sockets")
    terminal.press("Space")
    terminal.wait("PAUSED")
    network.connect(listener)
    terminal.press("?")
    terminal.wait("Escape, Enter or q: back")
    terminal.press("Escape")
    terminal.wait("PAUSED", "2 sockets")
    terminal.press("Space")
    terminal.wait("4 sockets", "netlink, every")


def test_details_of_one_socket(network: Network, watch: Watch) -> None:
    listener = network.listener()
    client, server = network.connect(listener)
    terminal = watch(f"sport = {port(listener)}", (100, 70))  # the command line of a test run may have many lines
    terminal.wait("1 socket ")
    terminal.press("Enter")
    terminal.wait("select a socket first")
    terminal.press("Down", "Enter")
    ends = f"127.0.0.1:{port(server)} - 127.0.0.1:{port(client)} ESTABLISHED"
    screen = terminal.wait(ends, "cwnd", "rcvbuf", "not known, and why", "delivery_rate", "Escape, Enter or q: back")
    assert re.search(rf"  {os.getpid()}/\S+  fd {server.fileno()}\n    \S*python", screen)
    assert re.search(r"info\.\w+ +(not measured yet|unlimited)", screen)
    client.send(b"1234567")
    terminal.wait("7 B not read yet")
    server.close()
    terminal.wait("GONE, as it was last")
    terminal.press("Escape")
    terminal.wait("q quit")


def test_kill_asks_first(network: Network, watch: Watch) -> None:
    listener = network.listener()
    client, _ = network.connect(listener)
    terminal = watch(f"dport = {port(listener)}")
    terminal.wait("1 socket ")
    terminal.press("Down", "k")
    terminal.wait("Destroy this socket?", f"127.0.0.1:{port(client)} - 127.0.0.1:{port(listener)}")
    terminal.press("n")
    terminal.wait("1 socket ", "q quit")
    terminal.press("k")
    terminal.wait("Destroy this socket?")
    terminal.press("y")
    terminal.wait(f"destroyed 127.0.0.1:{port(client)}")
    with pytest.raises(ConnectionAbortedError):
        client.recv(1)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("wide", ["", "--wide"])
def test_any_width(network: Network, watch: Watch, width: int, wide: str) -> None:
    listener, six = network.listener(), network.listener("::1")
    for _ in range(40):
        network.connect(listener)
    client, _ = network.connect(six)
    terminal = watch(f"{wide} --sort -local", (width, 20))
    terminal.wait("82 sockets", "Foreign Address"[: 12 if width < 80 else 15])
    terminal.wait_rows(
        lambda rows: len(rows) == 17 and all("ESTAB" in row for row in rows) and f":{port(client)}" in "".join(rows),
        "a whole screen",
    )
    screen = terminal.wait("Enter")  # the last line
    lines = screen.rstrip("\n").split("\n")
    assert len(lines) == 20
    assert max(map(len, lines)) <= width
    if width >= 60:
        assert f"[::1]:{port(client)}" in screen
    assert ("PID/Program" in screen) == (width >= 80)
    assert ("Retrans" in screen) == (bool(wide) and width >= 100)


def test_long_addresses_are_cut_in_their_middle(network: Network, watch: Watch) -> None:
    address = "2001:db8:1234:5678:9abc:def0:1234:5678"
    inside = ("nsenter", "--net", "--target", str(network.pid))
    subprocess.run([*inside, "ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
    # The kernel makes the address's route a little later, in a work queue, without duplicate detection too.
    route = [*inside, "ip", "-6", "route", "get", address]
    wait_until(lambda: subprocess.run(route, capture_output=True, check=False).returncode == 0, "a route")
    _, server = network.connect(network.listener(address))
    terminal = watch("", (80, 10))
    terminal.wait("2 sockets")
    cut = re.compile(rf"\[2001\S*…\S*:{port(server)}")
    terminal.wait_column(3, lambda ends: len(ends) == 2 and any(map(cut.fullmatch, ends)), "an end that is cut")


def test_no_color_and_colour(network: Network, watch: Watch) -> None:
    terminal = watch(env={"NO_COLOR": "1"})
    terminal.wait("0 sockets")
    network.connect(network.listener())
    terminal.wait("2 sockets")
    wait_until(lambda: re.search(r"\x1b\[(1;)?7m", terminal.styled), "what is reversed")
    codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", terminal.styled) for code in found.split(";")}
    assert not {code for code in codes if code and int(code) >= 30 and code not in ("39", "49")}


def test_names_of_programs_do_not_reach_the_terminal(network: Network, watch: Watch) -> None:
    listener = network.listener()
    code = (
        "import ctypes, socket, sys; ctypes.CDLL(None).prctl(15, b'\\x1b[7m\\xff\\xe2\\x80\\xaeX', 0, 0, 0);"
        f"s = socket.create_connection(('127.0.0.1', {port(listener)})); print('ready', flush=True); sys.stdin.read()"
    )
    words = ["nsenter", "--net", "--target", str(network.pid), sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        terminal = watch()
        terminal.wait(f"{process.pid}/\\x1b[7m\\xff\\u202eX")
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'foo bar'", "portside: watch: nothing is called 'foo'"),
        ("--sort colour", "portside: --sort: there is no column"),
    ],
)
def test_what_is_written_wrong_is_said_before_the_screen_changes(watch: Watch, arguments: str, said: str) -> None:
    assert watch(arguments).wait("status 2").startswith(f"before\n{said}")


def marked_rows(rows: list[str]) -> list[str]:
    """The rows that begin with a mark."""
    return [row for row in rows if row.startswith(("!! ", "!  ", "·  ")) and " tcp " in row]


def test_what_is_wrong_is_marked_and_said_until_it_is_mended(network: Network, watch: Watch) -> None:
    """A socket that is connected to itself, and a full accept queue of a listener that is not even shown."""
    itself = network.plain_socket()
    itself.bind(("127.0.0.1", 0))
    listener = network.plain_socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    clients = [network.connect_only(listener) for _ in range(2)]
    terminal = watch("--wide", (120, 24))
    terminal.wait("4 sockets", "accept-queue-overflow  ", "The accept queue is full (2 wait, the limit is 1)")
    assert marked_rows(terminal.rows) == []
    itself.connect(itself.getsockname())
    end = f"127.0.0.1:{port(itself)}"
    terminal.wait(f"self-connected  {end} -> {end}  ", "is connected to itself at 127.0.0.1:")
    (marked,) = marked_rows(terminal.wait_rows(marked_rows, "a mark"))
    assert marked.split()[0] == "!"
    assert marked.count(end) == 2
    terminal.press("f")
    terminal.wait("what is wrong", "accept-queue-overflow", "self-connected", "Do: end that connection")
    terminal.press("Escape")
    terminal.wait("q quit")
    itself.close()
    for _ in clients:
        network.keep(listener.accept()[0])

    def mended() -> bool:
        screen = terminal.text
        return "self-connected" not in screen and "accept-queue" not in screen and not marked_rows(terminal.rows)

    wait_until(mended, "nothing wrong any more")


def test_the_details_of_a_marked_socket_say_what_is_wrong(network: Network, watch: Watch) -> None:
    itself = network.plain_socket()
    itself.bind(("127.0.0.1", 0))
    itself.connect(itself.getsockname())
    terminal = watch(f"--wide 'sport = {port(itself)}'", (80, 24))
    terminal.wait("1 socket ", "self-connected")
    terminal.press("Down", "Enter")
    terminal.wait("warning   self-connected", "Do: end that connection", "Escape, Enter or q: back")
    itself.close()
    terminal.wait("TIME_WAIT", "no process holds it")
    wait_until(lambda: "self-connected" not in terminal.text, "nothing wrong any more")
