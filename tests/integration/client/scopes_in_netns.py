"""Scenarios on link-local addresses, each in a network of its own: python -m integration.client.scopes_in_netns

Two interfaces, ``eth0`` and ``12``, have the same address.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from support import Program, wait_until

ADDRESS = "fe80::aa"
HINT = "a link-local address needs its interface: [fe80::1%eth0]:PORT"


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def add_interfaces(*names: str) -> None:
    for number, name in enumerate(names, 12):
        run("ip", "link", "add", "name", name, "index", str(number), "type", "bridge")
        run("ip", "link", "set", name, "up")
        run("ip", "addr", "add", f"{ADDRESS}/64", "dev", name, "nodad")
        with listening(name) as listener, socket.socket(socket.AF_INET6) as client:
            wait_until(lambda: client.connect_ex(listener.getsockname()) == 0, "a route")


@contextlib.contextmanager
def listening(name: str, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port, 0, socket.if_nametoindex(name)))
        listener.listen()
        yield listener


@contextlib.contextmanager
def listen(*arguments: str) -> Iterator[tuple[Program, int]]:
    program = Program("listen", "-4", "127.0.0.1:0", *arguments)
    try:
        (line,) = program.wait_for(r"listening on 127\.0\.0\.1:\d+")
        yield program, int(line.rpartition(":")[2])
    finally:
        program.kill()


def portside(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "portside", *words)
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def relay_to_a_scope() -> None:
    """On one port, each interface has another server."""
    add_interfaces("eth0", "12")
    with listening("12") as second, listening("eth0", second.getsockname()[1]) as first:
        for name, server in (("eth0", first), ("12", second)):
            with (
                listen("--forward", f"[{ADDRESS}%{name}]:{server.getsockname()[1]}") as (_, port),
                socket.create_connection(("127.0.0.1", port)) as client,
                server.accept()[0] as upstream,
            ):
                client.sendall(b"ping")
                assert upstream.recv(4) == b"ping"
                upstream.sendall(b"pong")
                assert client.recv(4) == b"pong"


def relay_that_is_refused() -> None:
    add_interfaces("eth0")
    with listening("eth0") as closed:
        port = closed.getsockname()[1]
    with listen("--forward", f"[{ADDRESS}%eth0]:{port}") as (program, own):
        with socket.create_connection(("127.0.0.1", own)) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        program.wait_for(rf"cannot connect to \[{ADDRESS}%eth0\]:{port}: Connection refused")


def client_with_a_scope() -> None:
    add_interfaces("eth0", "12")
    with listening("12") as listener:
        port = listener.getsockname()[1]
        ends = (f"[{ADDRESS}%12]:{port}",), ("-s", f"[{ADDRESS}%12]:0", f"[{ADDRESS}]:{port}")
        for words in ends:
            done = Program("connect", *words)
            with listener.accept()[0] as accepted:
                assert accepted.getpeername()[3] == socket.if_nametoindex("12")
            assert done.wait() == 0
        assert portside("connect", "-z", f"[{ADDRESS}%12]:{port}").stdout == f"[{ADDRESS}%12]:{port} open\n"


def without_a_scope() -> None:
    """The same hint, wherever an address lacks its interface."""
    add_interfaces("eth0")
    for words, status in (
        (("listen", f"[{ADDRESS}]:3101"), 1),
        (("connect", f"[{ADDRESS}]:3101"), 1),
        (("connect", ADDRESS, "3101"), 1),
        (("connect", "-s", ADDRESS, f"[{ADDRESS}%eth0]:3101"), 1),
        (("connect", "-z", f"[{ADDRESS}]:3101-3103"), 1),
        (("connect", "--proxy", f"http://[{ADDRESS}]:3101", "127.0.0.1:1"), 1),
        (("listen", "0", "--forward", f"[{ADDRESS}]:3101"), 2),
    ):
        done = portside(*words)
        assert done.returncode == status, words
        assert HINT in done.stderr, words
    for words in (("listen", f"[{ADDRESS}%eth1]:3101"), ("connect", f"[{ADDRESS}%eth1]:3101")):
        assert portside(*words).stderr.endswith(
            "hint: no interface is called 'eth1'; `ip link` lists those that there are\n"
        )


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test for test in (relay_to_a_scope, relay_that_is_refused, client_with_a_scope, without_a_scope)
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
