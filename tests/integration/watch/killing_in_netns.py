"""Scenarios of connections of Portside whose sockets are destroyed: python -m integration.watch.killing_in_netns"""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support import Program


def kill(text: str) -> None:
    """Have ``watch --kill`` destroy the one socket that a filter matches."""
    words = [sys.executable, "-m", "portside", "watch", "--kill", text]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == "portside: destroyed 1 socket\n", done


@contextlib.contextmanager
def running(*arguments: str, **options: Any) -> Iterator[Program]:
    program = Program(*arguments, **options)
    try:
        yield program
    finally:
        program.kill()


@contextlib.contextmanager
def listen(*arguments: str) -> Iterator[tuple[Program, int]]:
    with running("listen", "-4", "127.0.0.1:0", "--format", "json", *arguments) as program:
        (line,) = program.wait_for(r'"event":"listening".*?"127\.0\.0\.1:\d+"')
        yield program, int(line.strip('"').rpartition(":")[2])


def closed(program: Program) -> dict[str, Any]:
    (line,) = program.wait_for('.*"event":"closed".*')
    event: dict[str, Any] = json.loads(line)
    return event


def server() -> None:
    with listen() as (program, port), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"hello\n")
        program.wait_for('"event":"received"')
        kill(f"state established sport = :{port}")
        event = closed(program)
        assert (event["reason"], event.get("error"), event["received"]) == ("killed", None, 6)


def server_over_tls() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        listen("--tls") as (program, port),
        socket.create_connection(("127.0.0.1", port)) as below,
        context.wrap_socket(below) as client,
    ):
        client.sendall(b"hello\n")
        program.wait_for('"event":"received"')
        kill(f"state established sport = :{port}")
        assert closed(program)["reason"] == "killed"


def server_that_does_not_read() -> None:
    """It is noticed when the fault that stops reading is over."""
    with listen("--fault", "stall for 2s") as (program, port), socket.create_connection(("127.0.0.1", port)):
        program.wait_for('"event":"opened"')
        kill(f"state established sport = :{port}")
        assert closed(program)["reason"] == "killed"


def server_after_the_end_of_its_peer() -> None:
    words = "--sh-exec", "cat; exec sleep 1000"
    with listen(*words) as (program, port), socket.create_connection(("127.0.0.1", port)) as client:
        client.shutdown(socket.SHUT_WR)
        program.wait_for('"event":"half_closed"')
        kill(f"state close-wait sport = :{port}")
        assert closed(program)["reason"] == "killed"


def text_and_recording() -> None:
    with TemporaryDirectory() as parent:
        folder, file = f"{parent}/rec", Path(parent, "rec.pcapng")
        with running("listen", "-4", "127.0.0.1:0", "--record", folder) as program:
            (line,) = program.wait_for(r"listening on 127\.0\.0\.1:\d+")
            port = int(line.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)):
                program.wait_for("connected")
                kill(f"state established sport = :{port}")
                program.wait_for(r"  killed after \d")
            program.signal(2)
            assert program.wait() == 0
        assert json.loads(portside("rec", "list", folder, "--json", "--reason", "killed"))["reason"] == "killed"
        portside("rec", "export", folder, str(file))
        assert b"asked to destroy the socket" in file.read_bytes()


def portside(*words: str) -> str:
    words = (sys.executable, "-m", "portside", *words)
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def relay() -> None:
    """Each leg; the other end is reset."""
    for side in ("client", "upstream"):
        with socket.create_server(("127.0.0.1", 0)) as target, contextlib.ExitStack() as stack:
            end = target.getsockname()[1]
            program, port = stack.enter_context(listen("--forward", f"127.0.0.1:{end}"))
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            upstream = stack.enter_context(target.accept()[0])
            client.sendall(b"x")
            assert upstream.recv(1) == b"x"
            kill(f"state established sport = :{port}" if side == "client" else f"state established dport = :{end}")
            event = closed(program)
            assert (event["reason"], event.get("by")) == ("killed", None if side == "client" else "upstream")
            for each in (client, upstream):
                with contextlib.suppress(ConnectionResetError):
                    raise AssertionError(each.recv(1))


def client() -> None:
    for arguments in (("--format", "json"), ("-v",)):
        with socket.create_server(("127.0.0.1", 0)) as target:
            port = target.getsockname()[1]
            words = ("connect", f"127.0.0.1:{port}", *arguments)
            with running(*words, stdin=subprocess.PIPE) as program, target.accept()[0] as accepted:
                accepted.sendall(b"hello\n")
                program.wait_for("hello")
                kill(f"state established dport = :{port}")
                assert program.wait() == 1
                assert b"it was killed: the kernel was asked to destroy its socket" in program.err
                if "json" in arguments:
                    assert closed(program)["reason"] == "killed"


def listeners() -> None:
    """A server goes on with the ports that it has left, and ends when it has none, and no client."""
    with running("listen", "127.0.0.1:0", "127.0.0.2:0", "--format", "json") as program:
        found = program.wait_for(r'"event":"listening".*?"127\.0\.0\.\d:\d+"', count=2)
        ends = [line.split('"')[-2] for line in found]
        kill(f"state listening src {ends[0]}")
        program.wait_for(f"{ends[0]} is closed: the kernel was asked to destroy its socket$", err=True)
        with socket.create_connection(("127.0.0.2", int(ends[1].rpartition(":")[2]))) as client:
            program.wait_for('"event":"opened"')
            kill(f"state listening src {ends[1]}")
            program.wait_for("hint: no port is left: the run ends with its last client", err=True)
            client.sendall(b"still here")
            program.wait_for("still here")
        program.wait_for('"event":"stopped".*"reason":"killed"')
        assert program.wait() == 1


def a_listener_without_clients() -> None:
    with listen() as (program, port):
        kill(f"state listening sport = :{port}")
        assert program.wait() == 1


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test
    for test in (
        server,
        server_over_tls,
        server_that_does_not_read,
        server_after_the_end_of_its_peer,
        text_and_recording,
        relay,
        client,
        listeners,
        a_listener_without_clients,
    )
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
