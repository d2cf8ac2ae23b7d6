"""Loads with nothing wrong, run as ``python healthy.py NAME``, until standard input ends.

Each prints ``ready`` when its first answers have come. A load that fails ends the process with an error.
"""

import contextlib
import os
import random
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

HERE = "127.0.0.1"
_never = threading.Event()
_kept: list[socket.socket] = []


def together(work: Callable[..., None], *arguments: Any) -> None:
    """Do some work on a thread; its failure is that of the process."""

    def do() -> None:
        try:
            work(*arguments)
        except BaseException:  # noqa: BLE001 - said, whatever it is
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=do, daemon=True).start()


def serve(handle: Callable[[socket.socket], None], backlog: int = 128, **options: int) -> tuple[str, int]:
    """A server with a thread for each client; its address."""
    server = socket.socket()
    for name, value in options.items():
        server.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    server.bind((HERE, 0))
    server.listen(backlog)
    accept(server, handle)
    address: tuple[str, int] = server.getsockname()
    return address


def accept(server: socket.socket, handle: Callable[[socket.socket], None]) -> None:
    def handled(client: socket.socket) -> None:
        with client:
            handle(client)

    def forever() -> None:
        while True:
            together(handled, server.accept()[0])

    together(forever)


def echo(client: socket.socket) -> None:
    while data := client.recv(1 << 16):
        client.sendall(data)


def bulk() -> None:
    """One transfer at full speed over IPv6."""
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)

    def read(client: socket.socket) -> None:
        while client.recv(1 << 20):
            pass

    accept(server, read)
    client = socket.create_connection(server.getsockname()[:2])

    def send() -> None:
        while True:
            client.sendall(bytes(1 << 20))

    together(send)


def chat() -> None:
    """Forty people in a room, as over WebSockets: small messages both ways, each to all others."""
    members: list[socket.socket] = []
    speaking = threading.Lock()

    def member(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with speaking:
            members.append(client)
        while data := client.recv(4096):
            with speaking:
                for each in members:
                    each.sendall(data)

    address = serve(member)

    def person() -> None:
        client = socket.create_connection(address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        together(listen, client)
        while True:
            client.sendall(b"m" * random.randrange(5, 200))
            _never.wait(random.uniform(0.2, 3))

    def listen(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    for _ in range(40):
        together(person)


def interactive() -> None:
    """A login: keys one by one, each echoed, and now and then a screen of output."""

    def shell(client: socket.socket) -> None:
        while key := client.recv(100):
            client.sendall(key)
            if b"\n" in key:
                for _ in range(40):
                    client.sendall(b"x" * 70 + b"\r\n")

    client = socket.create_connection(serve(shell))

    def see() -> None:
        while client.recv(4096):
            pass

    def type_() -> None:
        while True:
            for key in b"ls -l\n":
                client.sendall(bytes((key,)))
                _never.wait(random.uniform(0.05, 0.25))

    together(see)
    together(type_)


def keepalive_pool() -> None:
    """Ten connections that are used again and again, each for one question at a time; now and then a new one."""

    def answer(client: socket.socket) -> None:
        while client.recv(4096):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(2000))

    address = serve(answer)

    def ask() -> None:
        while True:
            with socket.create_connection(address) as client:
                for _ in range(random.randrange(20, 200)):
                    client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
                    left = 2041
                    while left > 0:
                        left -= len(client.recv(4096))
                    _never.wait(random.uniform(0.001, 0.05))

    for _ in range(10):
        together(ask)


def long_poll() -> None:
    """Thirty clients that ask for news and wait; those that get some ask again."""

    def hold(client: socket.socket) -> None:
        while client.recv(1000):
            _never.wait(random.uniform(2, 6))
            client.sendall(b"news")

    address = serve(hold)

    def ask() -> None:
        client = socket.create_connection(address)
        while True:
            client.sendall(b"GET /news\r\n\r\n")
            client.recv(100)

    for _ in range(30):
        together(ask)


def half_closed() -> None:
    """Twenty clients that say all they have to say at once, and read a long answer that comes bit by bit."""

    def answer(client: socket.socket) -> None:
        while client.recv(100):
            pass
        while True:
            client.sendall(bytes(500))
            _never.wait(0.3)

    address = serve(answer)

    def ask() -> None:
        client = socket.create_connection(address)
        client.sendall(b"everything\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(1000):
            pass

    for _ in range(20):
        together(ask)


def bursts() -> None:
    """A server that is busy with something else for moments, and then takes all who wait."""
    server = socket.create_server((HERE, 0), backlog=64)

    def take() -> None:
        server.settimeout(0.01)
        while not _never.wait(0.3):
            with contextlib.suppress(TimeoutError):
                while True:
                    with server.accept()[0] as client:
                        client.settimeout(None)
                        client.sendall(client.recv(100))

    def ask() -> None:
        while not _never.wait(random.uniform(0.05, 0.5)):
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(b"hello")
                client.recv(100)

    together(take)
    for _ in range(20):
        together(ask)


def workers() -> None:
    """Four workers with a listener each on one port."""
    address = serve(echo, SO_REUSEPORT=1)
    for _ in range(3):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(address)
        server.listen()
        accept(server, echo)

    def ask() -> None:
        while not _never.wait(0.02):
            with socket.create_connection(address) as client:
                client.sendall(b"hello")
                client.recv(100)

    for _ in range(4):
        together(ask)


def scan() -> None:
    """A scan of ports that does not wait for any of them, again and again, and one that waits, once."""

    def all_at_once() -> None:
        while not _never.wait(0.5):
            scanned = [socket.socket() for _ in range(500)]
            for port, client in enumerate(scanned, 1000):
                client.setblocking(False)
                client.connect_ex((HERE, port))
            for client in scanned:
                client.close()

    def one_by_one() -> None:
        for port in range(1, 2000):
            with socket.socket() as client:
                client.connect_ex((HERE, port))

    together(all_at_once)
    together(one_by_one)


def burn() -> None:
    """Two processes that use all the processor time that they get."""
    for _ in range(2):
        if os.fork() == 0:
            parent = os.getppid()
            while os.getppid() == parent:
                sum(range(100_000))
            os._exit(0)


LOADS = (bulk, chat, interactive, keepalive_pool, long_poll, half_closed, bursts, workers, scan, burn)


def main() -> NoReturn:
    for name in sys.argv[1:]:
        globals()[name]()
    print("ready", os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)


main()
