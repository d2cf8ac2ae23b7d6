"""What is typed on the terminal of ``listen`` stays whole below what arrives: a real tmux."""

import os
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import DEADLINE_S, connect, has_ended, wait_until
from tmux import Terminal

COMMAND = f"{sys.executable} -m portside listen 127.0.0.1:0"
SHELL = "PS1='$ ' exec bash --norc --noprofile --noediting -i"

Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Open]:
    """A terminal with a shell; ``listen`` runs in it with the options given, or not yet where these are None."""
    with ExitStack() as stack:

        def start(options: str | None = "", size: tuple[int, int] = (80, 12), command: str = COMMAND) -> Terminal:
            terminal = Terminal(tmp_path / "tmux", SHELL, size, {"NO_COLOR": "1", "HISTFILE": ""})
            stack.callback(terminal.end)
            terminal.wait("$")
            if options is not None:
                terminal.type(f"clear; {command} {options}\n")
            return terminal

        yield start


def port_of(terminal: Terminal) -> int:
    def find() -> re.Match[str] | None:
        return re.search(r"istening on 127\.0\.0\.1:(\d+)", "\n".join(terminal.lines))

    return int(wait_until(find, "the port")[1])


def last_line(terminal: Terminal) -> str:
    return terminal.lines[-1]


def last_rows(terminal: Terminal, size: int) -> str:
    """The last rows put together, as many as such a text takes."""
    rows = terminal.lines
    found = ""
    while rows and len(found) < size:
        found = rows.pop() + found
    return found


def wait_last(terminal: Terminal, text: str) -> None:
    """Wait until this is below all else, in one row or several."""
    try:
        wait_until(lambda: last_rows(terminal, len(text)) == text, f"{text!r} in the last rows")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{terminal.text}") from None


def wait_for_line(terminal: Terminal, text: str) -> None:
    """Wait until a line, in one row or several, has this text."""
    wait_until(lambda: any(text in line for line in terminal.lines), text)


def receive(client: socket.socket, expected: bytes) -> None:
    data = b""
    while len(data) < len(expected):
        data += client.recv(1 << 16)
    assert data == expected


def modes_of(terminal: Terminal) -> tuple[bool, bool]:
    """Whether the terminal itself edits lines, and echoes."""
    with open(terminal.run("display-message", "-p", "#{pane_tty}").strip(), "rb", buffering=0) as tty:
        local = termios.tcgetattr(tty)[3]
    return bool(local & termios.ICANON), bool(local & termios.ECHO)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_line_stays_whole_while_clients_send(open_terminal: Open) -> None:
    terminal = open_terminal()
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.type("half a ")
        wait_last(terminal, "half a")
        for number in range(20):
            client.sendall(b"line %d\n" % number)
            terminal.wait(f"> line {number}\n")
            assert last_line(terminal) == "half a"
        terminal.type("line")
        wait_last(terminal, "half a line")
        client.sendall(b"unfinished")
        terminal.wait("> unfinished\n")
        assert last_line(terminal) == "half a line"
        terminal.press("Enter")
        receive(client, b"half a line\n")
        terminal.wait("< half a line")
    terminal.wait("closed by peer")
    lines = terminal.lines
    assert [line.partition("> ")[2] for line in lines if "> line" in line] == [f"line {n}" for n in range(20)]
    assert lines.count("half a line") == 1
    terminal.press("C-c")
    terminal.wait("stopped: signal", "\n$")
    assert modes_of(terminal) == (True, True)


def test_keys_and_wide_characters(open_terminal: Open) -> None:
    terminal = open_terminal(size=(41, 30))
    with connect(port_of(terminal)) as client:
        wait_until(lambda: "connected" in "".join(terminal.lines), "the connection")
        terminal.type("日本語" * 7 + "xe\u0301")  # the wide character at the end of the row does not fit
        client.sendall(b"one\n")
        terminal.wait("> one")
        wait_last(terminal, "日本語" * 7 + "xe\u0301")
        terminal.press("BSpace", "BSpace", "BSpace", "Left", "DC", "Home", "a", "End", "z", "C-a", "b")
        expected = "ba" + "日本語" * 6 + "日" + "z"
        client.sendall(b"two\n")
        terminal.wait("> two")
        wait_last(terminal, expected)
        terminal.press("Enter")
        receive(client, f"{expected}\n".encode())
        terminal.type("one two")
        terminal.press("C-w", "C-v")
        wait_until(lambda: not is_signalling(terminal), "the next key to be taken as it is")
        terminal.press("C-c", "Enter")
        receive(client, b"one \x03\n")
        wait_until(lambda: "< one \\x03" in "".join(terminal.lines), "the line that was sent")


def is_signalling(terminal: Terminal) -> bool:
    with open(terminal.run("display-message", "-p", "#{pane_tty}").strip(), "rb", buffering=0) as tty:
        return bool(termios.tcgetattr(tty)[3] & termios.ISIG)


def test_a_line_longer_than_the_screen(open_terminal: Open) -> None:
    terminal = open_terminal(size=(20, 6))
    words = " ".join(str(number) for number in range(200))
    with connect(port_of(terminal)) as client:
        wait_until(lambda: "connected" in "".join(terminal.lines), "the connection")
        terminal.type(words)
        wait_until(lambda: terminal.text.rstrip().endswith(" 198 199"), "the end of the line")
        client.sendall(b"arrives\n")
        wait_until(lambda: "> arrives" in "".join(terminal.lines), "the line of the client")
        assert terminal.text.rstrip().endswith(" 198 199")
        terminal.press("Home")
        wait_until(lambda: "0 1 2 3 4" in terminal.text, "the beginning of the line")
        terminal.press("Enter")
        receive(client, f"{words}\n".encode())
        wait_until(lambda: words in "".join(terminal.lines), "the whole line")


def test_the_window_changes_its_size(open_terminal: Open) -> None:
    terminal = open_terminal(size=(60, 15))
    typed = "0123456789" * 8
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.type(typed)
        wait_last(terminal, typed)
        for number, (columns, rows) in enumerate([(40, 15), (33, 8), (100, 20), (20, 30), (80, 12)]):
            terminal.run("resize-window", "-x", str(columns), "-y", str(rows))
            client.sendall(b"size %d\n" % number)
            wait_for_line(terminal, f"> size {number}")
            wait_last(terminal, typed)
    wait_until(lambda: "closed by peer" in "\n".join(terminal.lines), "the end of the client")
    assert sum("> size" in line for line in terminal.lines) == 5
    assert last_rows(terminal, len(typed)) == typed


def test_many_lines_pasted_at_once(open_terminal: Open, tmp_path: Path) -> None:
    terminal = open_terminal()
    lines = "".join(f"line {number}\n" for number in range(5000))
    (tmp_path / "paste").write_text(lines + "and a half")
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.run("load-buffer", str(tmp_path / "paste"))
        terminal.run("paste-buffer")
        receive(client, lines.encode())
        wait_last(terminal, "and a half")
        terminal.press("C-d")
        receive(client, b"and a half")


def test_notices_stay_above_it(open_terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stderr, format='%(message)s')\n"  # before the terminal is taken
        "async def handle(connection):\n"
        "    async for line in connection.lines():\n"
        "        print('printed', line, flush=True)\n"
        "        logging.warning('logged')\n"
    )
    terminal = open_terminal(f"--handler {tmp_path / 'says.py'}:handle --log-level info", size=(100, 30))
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.type("typed")
        wait_last(terminal, "typed")
        client.sendall(b"hello\n")
        terminal.wait("printed b'hello\\n'", "logged")
        wait_last(terminal, "typed")
    terminal.wait("closed by peer")
    terminal.press("Enter")
    terminal.wait("portside: no client is connected: not sent")
    assert terminal.lines.count("typed") == 1
    terminal.type("not sent")
    wait_last(terminal, "not sent")
    terminal.press("C-c")
    terminal.wait("stopped: signal", "\n$")
    assert terminal.lines[-3] == "not sent"


def test_suspended_in_the_background_and_back(open_terminal: Open) -> None:
    terminal = open_terminal()
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.type("half")
        wait_last(terminal, "half")
        terminal.press("C-z")
        terminal.wait("Stopped")
        assert modes_of(terminal)[1]
        client.sendall(b"while suspended\n")
        terminal.type("bg\n")
        terminal.wait("> while suspended")
        terminal.type("echo the shell $((1 + 1)) is here\n")
        terminal.wait("the shell 2 is here")
        assert "half" not in terminal.text
        terminal.type("fg\n")
        wait_last(terminal, "half")
        terminal.type(" done\n")
        receive(client, b"half done\n")
        terminal.type("again")
        wait_last(terminal, "again")
        terminal.press("C-z")
        wait_until(lambda: "\n".join(terminal.lines).count("Stopped") == 2, "the shell")
        terminal.type("fg\n")
        wait_last(terminal, "again")
        client.sendall(b"goes on\n")
        terminal.wait("> goes on")
        wait_last(terminal, "again")


def test_started_in_the_background_it_takes_the_terminal_when_it_comes_to_the_front(open_terminal: Open) -> None:
    terminal = open_terminal(None)
    terminal.type(f"clear; stty tostop; {COMMAND} &\n")
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        client.sendall(b"not stopped\n")
        terminal.wait("> not stopped")
        terminal.type("echo the shell $((1 + 1)) is here\n")
        terminal.wait("the shell 2 is here")
        terminal.type("fg\n")
        wait_until(lambda: not modes_of(terminal)[1], "the terminal to be taken")
        terminal.type("half")
        wait_last(terminal, "half")
        client.sendall(b"above\n")
        terminal.wait("> above")
        wait_last(terminal, "half")
        terminal.press("Enter")
        receive(client, b"half\n")


def test_the_end_of_input_is_typed(open_terminal: Open) -> None:
    terminal = open_terminal()
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        terminal.type("not the end")
        terminal.press("C-d", "C-d")
        terminal.wait("portside: end of input: what is typed from now on is sent to nobody")
        receive(client, b"not the end")
        terminal.type("to nobody\n")
        client.sendall(b"the server goes on\n")
        terminal.wait("> the server goes on")
        assert "to nobody\n" not in terminal.text
        terminal.press("C-c")
        terminal.wait("stopped: signal", "$")


def interrupted(pid: int) -> bool:
    """Send a signal that ends a program, again and again: one soon after another counts as the same. Whether it did."""
    if not has_ended(pid):
        os.kill(pid, signal.SIGINT)
    return has_ended(pid)


@pytest.mark.parametrize("how", ["INT", "TERM", "HUP", "QUIT", "twice", "once"])
def test_the_terminal_is_given_back_at_every_end(open_terminal: Open, how: str) -> None:
    terminal = open_terminal({"once": "--once", "twice": "--drain 1h"}.get(how, ""))
    with connect(port_of(terminal)) as client:
        terminal.wait("connected")
        assert modes_of(terminal) == (False, False)
        program = terminal.pid()
        terminal.type("typed")
        wait_last(terminal, "typed")
        if how == "once":
            client.close()
        elif how == "twice":
            os.kill(program, signal.SIGTERM)
            terminal.wait("portside: waits up to")
            wait_last(terminal, "typed")
            wait_until(lambda: interrupted(program), "the end of the program")
        else:
            os.kill(program, getattr(signal, f"SIG{how}"))
        wait_until(lambda: not children(terminal.shell), "the program to end")
    assert modes_of(terminal) == (True, True)
    terminal.type("echo the shell $((1 + 1)) is here\n")
    terminal.wait("the shell 2 is here")


@pytest.mark.parametrize("name", ["QUIT", "USR1", "USR2", "ALRM"])
def test_the_terminal_is_given_back_after_a_signal_that_ends_it(name: str) -> None:
    """A shell repairs its terminal after such an end; what started it here does not."""
    number = getattr(signal, f"SIG{name}")
    assert run_on_terminal(number) == -number


def test_a_signal_that_is_ignored_does_not_end_it() -> None:
    """As in a script that has started it with ``&``."""
    given = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        assert run_on_terminal(signal.SIGQUIT, signal.SIGTERM) == 0
    finally:
        signal.signal(signal.SIGQUIT, given)


def run_on_terminal(*numbers: int) -> int:
    """The status of a server on a terminal of its own that gets these signals; the terminal is as it was before."""
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    words = [*COMMAND.split(), "--no-control"]
    server = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"})
    try:
        wait_until(lambda: not termios.tcgetattr(slave)[3] & termios.ICANON, "the terminal to be taken")
        for number in numbers:
            server.send_signal(number)
        status = server.wait(DEADLINE_S)
        assert termios.tcgetattr(slave) == before
        return status
    finally:
        server.kill()
        server.wait()
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("how", ["TERM=dumb", "--no-stdin", "--format raw", "stdout"])
def test_elsewhere_the_terminal_is_left_as_it_is(open_terminal: Open, tmp_path: Path, how: str) -> None:
    command = f"TERM=dumb {COMMAND}" if how == "TERM=dumb" else COMMAND
    options = f"> {tmp_path / 'out'}" if how == "stdout" else how if how.startswith("--") else ""
    terminal = open_terminal(options, command=command)
    if how == "stdout":
        wait_until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text(), "the first line")
    else:
        terminal.wait("listening on")
    assert modes_of(terminal) == (True, True)
