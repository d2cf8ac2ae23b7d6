"""Runs the sessions of the documentation for real: the commands, and the peers that make them print what a page shows.

This module runs in a network namespace of its own, as root there, so that each page has the ports that it names.

A server's session is also the script of its clients. For each line of it, in the text format, the player does what the
line tells of and waits until the line is shown:

- ``#1 127.0.0.1:45404  connected``: a client connects from this address; ``127.0.0.1:59224  refused: …`` likewise.
- ``#1 …  > hello``: client 1 sends this line. Lines that came at the same time are sent at once. A client
  sends when it has read what it was sent (``<``). A line ``! fault: …`` tells what met the bytes of the line below it.
- ``#1 …  closed by peer …``: client 1 sends FIN and reads to the end.
"""

import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from pages import ANY_LINES, ROOT, Block, Comparison, Step, compare, shape, steps
from support import DEADLINE_S, Program, wait_until

from portside.units import parse_text

_EVENT = re.compile(r"(?P<time>[\d:.]{12})  (?:#(?P<conn>\d+) )?(?P<peer>\S+:\d+)  (?P<what>.*)")
_LISTENING = re.compile(r"listening on \S+:(\d+)$")


class Stage:
    """A folder, and the processes and sockets that end with it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "run").mkdir(0o700)  # for control sockets: a page has them for itself
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TZ": "UTC",
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }

    def start(self, command: str, *, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Program:
        """Start a command, with standard error where standard output goes; ``stdin`` is nothing if it is not given."""
        program = Program(
            command=("bash", "-c", f"exec 2>&1\n{command}"), stdin=stdin, env=self._environment, cwd=self.folder
        )
        self._stack.callback(program.kill)
        return program

    def start_on_terminal(self, command: str) -> tuple[Program, IO[bytes]]:
        """Start a command whose input is a terminal; the other side of that, to type."""
        master, slave = pty.openpty()
        keyboard = self._stack.enter_context(os.fdopen(master, "wb", buffering=0))
        with open(slave, "rb", buffering=0) as terminal:
            return self.start(command, stdin=terminal), keyboard

    def run(self, command: str) -> str:
        """What a command prints, on standard output and error; its status does not matter."""
        program = self.start(command)
        program.wait(90)
        return program.out.decode()

    def listen(self, arguments: str) -> Program:
        """Start ``portside listen`` and wait until it listens."""
        program = self.start(f"exec portside listen {arguments}")
        program.wait_for("listening")
        return program

    def connect(self, port: int, source: str | None = None) -> socket.socket:
        """A client, from a source address such as 127.0.0.1:45404."""
        host, _, own = (source or "127.0.0.1:0").rpartition(":")
        host = host.strip("[]")
        client = socket.create_connection((host, port), timeout=DEADLINE_S, source_address=(host, int(own)))
        self._stack.enter_context(client)
        return client

    def nc(self, port: int, own: int = 0) -> Program:
        """A connected ``nc``, from a port of its own choice if ``own`` is 0."""
        program = self.start(f"exec nc {f'-p {own} ' if own else ''}127.0.0.1 {port}", stdin=subprocess.PIPE)
        wait_until(lambda: _is_connected(program.process.pid), "the connection of nc")
        return program


class Scenario(NamedTuple):
    """What one block of a page needs, and how what it shows may differ.

    ``given`` runs before the block. ``peers`` runs beside a command that goes on, in place of the clients of the
    module's docstring. ``sends`` has the bytes behind a line shown, where they are not its text and a line feed;
    ``typed`` are the lines that are typed into the command. ``varies`` are expressions for what else may differ.
    ``screen`` is the size of the terminal that the command draws on, columns and rows.
    """

    given: Callable[[Stage], object] = lambda stage: None
    peers: Callable[[Stage, Program], object] | None = None
    sends: Mapping[str, bytes] = {}
    typed: tuple[str, ...] = ()
    varies: tuple[str, ...] = ()
    in_order: bool = True
    screen: tuple[int, int] | None = None


def play(block: Block, scenario: Scenario, folder: Path) -> None:
    """Run a session and compare what its commands print. Raises AssertionError at the first difference."""
    with ExitStack() as stack:
        stage = Stage(folder, stack)
        scenario.given(stage)
        for step in steps(block):
            command = step.command.removeprefix("sudo ")
            try:
                if scenario.screen:
                    _compare_screen(step, scenario, stage, scenario.screen)
                elif re.match(r"portside listen|portside watch --events|nc ", command):
                    _Performance(step, scenario, stage, command).run()
                else:
                    shown = stage.run(_for_a_reader(command)).splitlines()
                    compare(step.lines, shown, scenario.varies, in_order=scenario.in_order)
            except AssertionError as problem:
                raise AssertionError(f"{block.place} $ {step.command}\n{problem}") from None


def _for_a_reader(command: str) -> str:
    """The command that prints as for a user on a terminal: ``ls`` in columns, tshark without a note about root."""
    return re.sub(r"^ls ", "ls -C ", re.sub("^tshark ", "2>/dev/null tshark ", command))


def run_sample(sample: Block, output: Block | None, scenario: Scenario, folder: Path) -> None:
    """Run a sample in Python and compare what it prints."""
    with ExitStack() as stack:
        stage = Stage(folder, stack)
        scenario.given(stage)
        (folder / "sample.py").write_text(sample.text)
        try:
            shown = stage.run("python sample.py").splitlines()
            compare(output.lines if output else (), shown, scenario.varies, in_order=scenario.in_order)
        except AssertionError as problem:
            raise AssertionError(f"{sample.place} {sample.lines[0]}\n{problem}") from None


class _Performance:
    """A command that goes on, and its peers, line by line."""

    def __init__(self, step: Step, scenario: Scenario, stage: Stage, command: str) -> None:
        self._lines = [line for line in step.lines if line]
        self._scenario = scenario
        self._stage = stage
        self._program, self._keyboard = stage.start_on_terminal(f"exec {command}")
        self._comparison = Comparison(lambda: self._program.lines, scenario.varies, in_order=scenario.in_order)
        self._clients: dict[str, socket.socket] = {}
        self._read: dict[str, int] = {}
        self._sent: set[int] = set()
        ports = [found[1] for line in step.lines if (found := _LISTENING.search(line))]
        self._port = int(ports[0]) if ports else 0

    def run(self) -> None:
        """Play all lines."""
        peers = self._scenario.peers
        actors = [threading.Thread(target=peers, args=(self._stage, self._program), daemon=True)] if peers else []
        for actor in actors:
            actor.start()
        for at, line in enumerate(self._lines):
            if line == ANY_LINES:
                self._comparison.skip()
            elif line in self._scenario.typed:
                self._keyboard.write(f"{line}\n".encode())
            elif line == "^C":
                self._program.stop()
            else:
                if line.startswith("^C"):
                    self._program.signal(signal.SIGINT)
                elif peers is None:
                    self._act(at)
                wait_until(partial(self._comparison.meets, line.removeprefix("^C")), f"the line {line!r}")
        for actor in actors:
            actor.join(DEADLINE_S)

    def _act(self, at: int) -> None:
        event = _EVENT.match(self._lines[at])
        if event is None:
            return
        conn, what = event["conn"], event["what"]
        if what == "connected" or what.startswith("refused"):
            self._clients[conn] = self._stage.connect(self._port, event["peer"])
        elif what.startswith("> ") and at not in self._sent:
            self._send(at, event)
        elif what.startswith("! fault"):
            later = _EVENT.match(self._lines[at + 1])
            if later and later["what"].startswith("> "):
                self._send(at + 1, later)
        elif what.startswith("closed by peer"):
            self._clients[conn].shutdown(socket.SHUT_WR)
            while self._clients[conn].recv(1 << 16):
                pass
            self._clients[conn].close()

    def _bytes(self, text: str) -> bytes:
        return self._scenario.sends.get(text) or parse_text(text) + b"\n"

    def _read_answers(self, conn: str, before: int) -> None:
        """Let a client read what it was sent in the lines before one."""
        events = [event for line in self._lines[:before] if (event := _EVENT.match(line)) and event["conn"] == conn]
        answers = [event["what"][2:] for event in events if event["what"].startswith("< ")]
        due = sum(len(self._bytes(text)) for text in answers)
        while self._read.get(conn, 0) < due:
            data = self._clients[conn].recv(1 << 16)
            assert data, f"client {conn} got {self._read.get(conn, 0)} of {due} bytes"
            self._read[conn] = self._read.get(conn, 0) + len(data)

    def _send(self, at: int, event: re.Match[str]) -> None:
        self._read_answers(event["conn"], at)
        data = b""
        head = f"{event['time']}  #{event['conn']} {event['peer']}  > "
        while at < len(self._lines) and self._lines[at].startswith(head):
            text = self._lines[at].removeprefix(head)
            data += self._bytes(text)
            self._sent.add(at)
            at += 1
        self._clients[event["conn"]].sendall(data)


def _compare_screen(step: Step, scenario: Scenario, stage: Stage, size: tuple[int, int]) -> None:
    """Compare what a command draws on a terminal, without its empty lines."""
    tmux = f"tmux -S {stage.folder}/tmux -f /dev/null"
    stage.run(f"{tmux} new-session -d -x {size[0]} -y {size[1]} {shlex.quote(step.command)}")
    wanted = sorted(shape(line, scenario.varies) for line in step.lines if line)
    shown: list[str] = []

    def is_drawn() -> bool:
        shown[:] = [line for line in stage.run(f"{tmux} capture-pane -p").splitlines() if line.strip()]
        return sorted(shape(line, scenario.varies) for line in shown) == wanted

    try:
        wait_until(is_drawn, "the screen")
    except AssertionError:
        raise AssertionError("\n".join(["the page has", *wanted, "and the screen", *shown])) from None
    finally:
        stage.run(f"{tmux} kill-server")


def _is_connected(pid: int) -> bool:
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[3] == "01" and f"socket:[{row[9]}]" in links for row in rows)
