"""Runs the lines of a recipe, what was done and what is done now, in a network namespace: PAGE LINE FOLDER

Both commands have the same check, which makes the peers that they need and gives what came of it.
"""

import contextlib
import os
import re
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from itertools import groupby
from pathlib import Path

from certificates import Authority
from page_player import Stage
from recipes import FOLDER, Recipe, recipes
from support import DEADLINE_S, Program, read_to_end, wait_until

Check = Callable[[Stage, str], object]
HELLO = b"hello\n"
# An end as ss, netstat and Portside write it, 127.0.0.1:9000, [::]:9000, :::* or *:*: its port.
_END = re.compile(r"(?<!\S)(?:(?:\d+\.){3}\d+|\[?[0-9a-f:]*:[0-9a-f:]*\]?|\*):(\d+|\*)(?!\S)")


def reach(stage: Stage, program: Program, address: int | str) -> socket.socket:
    """A connection to a program, as soon as it listens: at a port, or at a unix socket in its folder."""
    found: list[socket.socket] = []

    def connects() -> bool:
        with contextlib.suppress(OSError):
            if isinstance(address, int):
                found.append(socket.create_connection(("127.0.0.1", address), DEADLINE_S))
            else:
                found.append(socket.socket(socket.AF_UNIX))
                found[-1].settimeout(DEADLINE_S)
                found[-1].connect(str(stage.folder / address))
            return True
        assert program.process.poll() is None, program.out
        return False

    wait_until(connects, f"{address} to listen")
    return found[-1]


def read_line(client: socket.socket) -> bytes:
    """What comes up to a line feed or the end."""
    data = b""
    while not data.endswith(b"\n") and (more := client.recv(1000)):
        data += more
    return data


# Servers.


def shows(address: int | str) -> Check:
    """What a server shows of a client's line."""

    def check(stage: Stage, command: str) -> object:
        program = stage.start(f"exec {command}")
        with reach(stage, program, address) as client:
            client.sendall(HELLO)
            return program.wait_for(r"hello$")[0]

    return check


def answers(address: int | str, *, tls: bool = False) -> Check:
    """What a client gets that sends a line."""

    def check(stage: Stage, command: str) -> object:
        program = stage.start(f"exec {command}")
        with reach(stage, program, address) as plain:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) if tls else plain as client:
                client.sendall(HELLO)
                return read_line(client).splitlines()[:1]  # a terminal echoes it too

    return check


def refuses(stage: Stage, command: str) -> object:
    """What a client gets that may not connect."""
    with reach(stage, stage.start(f"exec {command}"), 9000) as client, contextlib.suppress(ConnectionError):
        client.sendall(HELLO)
        return read_to_end(client)
    return b""


def passes_on(stage: Stage, command: str) -> object:
    """What one client gets of what the other sends, without the name that a chat puts before it."""
    program = stage.start(f"exec {command}")
    with reach(stage, program, 9000) as one, reach(stage, program, 9000) as other:
        other.settimeout(0.2)
        data = b""
        while HELLO not in data:  # one of them may not be served yet
            one.sendall(HELLO)
            with contextlib.suppress(TimeoutError):
                data += other.recv(1000)
        return HELLO


def takes_a_file(stage: Stage, command: str) -> object:
    """The file that a server has made of what its client sent."""
    program = stage.start(command)
    with reach(stage, program, 9000) as client:
        client.sendall(HELLO * 1000)
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    return program.wait(), (stage.folder / "file").read_bytes()


def gives_a_file(stage: Stage, command: str) -> object:
    """What a client gets from a server that has a file for it."""
    (stage.folder / "given").write_bytes(HELLO * 1000)
    program = stage.start(command)
    with reach(stage, program, 9000) as client:
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client), program.wait()


# Clients.


def gets(stage: Stage, command: str) -> object:
    """What a client prints."""
    return stage.run(command)


def scans(stage: Stage, command: str) -> object:
    """The ports that a scan calls open."""
    lines = stage.run(command).splitlines()
    return {port for line in lines if re.search("open|succeeded", line) for port in re.findall(r"\b[89]\d{3}\b", line)}


# Tables.


def lists(stage: Stage, command: str) -> object:
    """The sockets that a table shows: both ends of each, a listener's own."""
    found = set()
    for line in stage.run(command).splitlines():
        if len(ports := _END.findall(line)) >= 2:
            found.add(tuple(ports[:2]))
    return found


def counts(stage: Stage, command: str) -> object:
    """How many sockets a summary calls established."""
    shown = stage.run(command)
    return ["".join(number) for number in re.findall(r"estab (\d+)|(\d+) +ESTABLISHED", shown)]


def tells_of_the_end(port: int) -> Check:
    """Whether a connection that closes is shown."""

    def check(stage: Stage, command: str) -> object:
        program = stage.start(f"exec {command}")
        past = []

        def is_shown() -> bool:
            with stage.connect(port) as client:
                past.append(str(client.getsockname()[1]).encode())
                client.sendall(HELLO)
                read_line(client)
            return any(own in program.out for own in past)

        wait_until(is_shown, "a connection that is shown")
        return "shown"

    return check


def destroys(stage: Stage, command: str) -> object:
    """What happens to a connection whose socket is destroyed."""
    client = stage.connect(9000)
    client.sendall(HELLO)
    read_line(client)
    stage.run(command)
    try:
        client.sendall(HELLO)
        return client.recv(100)
    except OSError as error:
        return type(error).__name__


# What passes.


def sees(stage: Stage, command: str) -> object:
    """What is shown of a line that passes."""
    program = stage.start(f"exec {command}")
    with reach(stage, program, 9000) as client:
        client.sendall(HELLO)
        assert read_line(client) == HELLO
        return program.wait_for(r"> hello$|68 65 6c 6c 6f 0a")


def keeps(stage: Stage, command: str) -> object:
    """What of a line that has passed can be read afterwards."""
    program = stage.start(f"exec {command}")
    with reach(stage, program, 9000) as client:
        client.sendall(HELLO)
        assert read_line(client) == HELLO
    program.wait_for("closed")
    stage.run("portside rec export DIR seen.pcapng")
    assert HELLO in (stage.folder / "seen.pcapng").read_bytes()
    assert "hello" in stage.run("portside rec search DIR hello")
    return re.findall("[<>] hello", stage.run("portside rec show DIR"))


# Relays that misbehave: only what is done now is run.

BIG = b"x" * 4000 + b"\n"


def misbehaves(want: Callable[[bytes, float, str], bool]) -> Check:
    """Whether a client of a relay gets its line back as a fault has it: the bytes, the seconds, how it ended."""

    def check(stage: Stage, command: str) -> object:
        program = stage.start(f"exec {command}")
        program.wait_for("listening")
        began = os.times().elapsed
        data, ended = b"", "open"
        with socket.create_connection(("127.0.0.1", 9000), DEADLINE_S) as client:
            try:
                client.sendall(BIG)
                while not data.endswith(b"\n"):
                    more = client.recv(1 << 16)
                    if not more:
                        ended = "closed"
                        break
                    data += more
            except ConnectionError:
                ended = "reset"
        took = os.times().elapsed - began
        assert want(data, took, ended), f"{len(data)} B after {took:.3f} s, {ended}"
        return "as it should"

    return check


def resets(stage: Stage, command: str) -> object:
    """How a connection ends that has been served."""
    program = stage.start(f"exec {command}")
    program.wait_for("listening")
    with socket.create_connection(("127.0.0.1", 9000), DEADLINE_S) as client:
        client.sendall(HELLO)
        assert read_line(client) == HELLO
        try:
            return client.recv(100)
        except ConnectionResetError:
            return "reset"


def sliced(stage: Stage, command: str) -> object:
    """What is shown of a fault that changes no byte, only how they come."""
    program = stage.start(f"exec {command}")
    program.wait_for("listening")
    with socket.create_connection(("127.0.0.1", 9000), DEADLINE_S) as client:
        client.sendall(BIG)
        data = b""
        while not data.endswith(b"\n"):
            data += client.recv(1 << 16)
    assert data == BIG
    return program.wait_for("fault: slice")


def by_chance(stage: Stage, command: str) -> object:
    """Whether some of the connections are reset, and some are not."""
    program = stage.start(f"exec {command}")
    program.wait_for("listening")
    ends = set()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", 9000), DEADLINE_S) as client:
            try:
                client.sendall(HELLO)
                ends.add(read_line(client))
            except ConnectionError:
                ends.add(b"reset")
    return len(ends) == 2


def echo(*addresses: str) -> Callable[[Stage], object]:
    """Servers that echo, at these addresses."""
    return lambda stage: [stage.listen(f"{address} --echo") for address in addresses]


def peers_of_nc(stage: Stage) -> None:
    """Two echoing servers and an HTTP proxy."""
    echo("9000", "unix:echo.sock", "9443 --tls")(stage)
    listener = socket.create_server(("127.0.0.1", 3128))
    threading.Thread(target=serve_proxy, args=(listener,), daemon=True).start()


def serve_proxy(listener: socket.socket) -> None:
    """Serve as a proxy that takes CONNECT to port 9000 alone."""
    while True:
        with listener.accept()[0] as client, socket.create_connection(("127.0.0.1", 9000), DEADLINE_S) as server:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += client.recv(1)
            assert request.startswith(b"CONNECT localhost:9000 "), request
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            server.sendall(read_to_end(client))
            server.shutdown(socket.SHUT_WR)
            client.sendall(read_to_end(server))


def peers_of_socat(stage: Stage) -> None:
    """Two echoing servers, and a certificate in one file with its key."""
    own = Authority(stage.folder).sign("localhost")
    (stage.folder / "a.pem").write_text(Path(own.certificate).read_text() + Path(own.key).read_text())
    echo("8000", "unix:app.sock")(stage)


def peers_of_ss(stage: Stage) -> None:
    """A server with two clients, and the sockets of one that is gone."""
    server = stage.listen("9000 --echo")
    for _ in range(2):
        stage.connect(9000).sendall(HELLO)
    server.wait_for("< hello", count=2)
    with stage.connect(9000) as past:
        past.shutdown(socket.SHUT_WR)
        read_to_end(past)


def nobody(_stage: Stage) -> None:
    """No peers."""


ECHO = echo("8000")
_RELAYED = answers(9000)
CHECKS: dict[str, list[tuple[Callable[[Stage], object], Check]]] = {
    "nc.md": [
        (nobody, shows(9000)),
        (nobody, takes_a_file),
        (nobody, gives_a_file),
        (nobody, shows("x.sock")),
        (nobody, answers(9000)),
        (nobody, answers(9000)),
        (nobody, passes_on),
        (nobody, passes_on),
        (nobody, shows(9000)),
        (nobody, refuses),
        (nobody, answers(9000, tls=True)),
        *[(peers_of_nc, gets)] * 7,
        (peers_of_nc, scans),
    ],
    "socat.md": [
        (nobody, shows(9000)),
        *[(peers_of_socat, gets)] * 2,
        *[(peers_of_socat, _RELAYED)] * 5,
        (peers_of_socat, answers("x.sock")),
        (peers_of_socat, shows(9000)),
        (peers_of_socat, answers(9443, tls=True)),
        (nobody, answers(9000)),
    ],
    "ss.md": [
        *[(peers_of_ss, lists)] * 14,
        (peers_of_ss, counts),
        (peers_of_ss, tells_of_the_end(9000)),
        (peers_of_ss, destroys),
    ],
    "tcpdump.md": [
        (ECHO, sees),
        (ECHO, sees),
        (ECHO, keeps),
        (ECHO, tells_of_the_end(8000)),
    ],
    "toxiproxy.md": [
        (ECHO, _RELAYED),
        (ECHO, misbehaves(lambda data, took, _ended: data == BIG and took > 0.1)),
        (ECHO, misbehaves(lambda data, took, _ended: data == BIG and took > 0.2)),
        (ECHO, misbehaves(lambda data, took, ended: (data, ended) == (b"", "closed") and took > 0.25)),
        (ECHO, resets),
        (ECHO, sliced),
        (ECHO, misbehaves(lambda data, _took, ended: (len(data), ended) == (1000, "closed"))),
        (ECHO, by_chance),
        (ECHO, misbehaves(lambda data, _took, ended: (data, ended) == (b"", "reset"))),
    ],
}


def stage_on(peers: Stage, stack: ExitStack) -> Stage:
    """The folder of a stage, for processes that end before it."""
    stage = copy(peers)
    stage._stack = stack
    return stage


def run_line(peers: Stage, recipe: Recipe, check: Check) -> str | None:
    """Run both columns of a line; what is wrong, or None. What tcpdump is asked is only compiled: see the page."""
    came: list[object] = []
    for command in (recipe.did, recipe.now):
        if command.startswith("toxiproxy-cli "):
            continue
        with ExitStack() as stack:
            stage = stage_on(peers, stack)
            try:
                if command.startswith("tcpdump "):
                    assert "(000)" in (code := stage.run(command.replace("tcpdump ", "tcpdump -d ", 1))), code
                else:
                    came.append(check(stage, command))
            except (AssertionError, OSError) as problem:
                return f"{recipe.page}: {command}: {problem!r}"
    if came[-1] or check is refuses:
        return None if came[0] == came[-1] else f"{recipe}: {came[0]!r}, and now {came[-1]!r}"
    return f"{recipe.page}: {recipe.now}: nothing came of it"


def main(page: str, folder: str) -> None:
    """Run the lines of a page; those that follow each other with the same peers have them together."""
    found, checks = recipes(FOLDER / page), CHECKS[page]
    assert len(found) == len(checks), f"{page} has {len(found)} lines, and there are {len(checks)} checks"
    wrong = []
    for given, lines in groupby(zip(found, checks, strict=True), key=lambda line: line[1][0]):
        with ExitStack() as stack, tempfile.TemporaryDirectory(dir=folder) as own:
            peers = Stage(Path(own), stack)
            given(peers)
            wrong += [run_line(peers, recipe, check) for recipe, (_, check) in lines]
    if problems := [each for each in wrong if each is not None]:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(*sys.argv[1:])
