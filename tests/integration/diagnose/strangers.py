"""Programs as anybody might write them, run as ``python strangers.py NAME PORT``: servers that fail, and their clients.

Each does what its name says on 127.0.0.1, prints ``ready`` when that is done, and goes on until standard input ends.
"""

import errno
import os
import resource
import selectors
import socket
import socketserver
import sys
import threading
from typing import NoReturn

HERE = "127.0.0.1"
PORT = int(sys.argv[2])
_kept: list[socket.socket] = []
_never = threading.Event()


def ready() -> None:
    print("ready", os.getpid(), flush=True)


def expect(error: OSError, number: int) -> None:
    if error.errno != number:
        raise error


def clients(count: int, message: bytes = b"") -> list[socket.socket]:
    """Clients that connect without waiting for it; those that are connected at once send a message."""
    made = [socket.socket() for _ in range(count)]
    for client in made:
        client.setblocking(False)
        if client.connect_ex((HERE, PORT)) in (0, errno.EINPROGRESS) and message:
            try:
                client.send(message)
            except BlockingIOError:
                pass
    _kept.extend(made)
    return made


# Servers.


def never_closes() -> None:
    """Serve from one loop that forgets to close what has ended."""
    server = socket.create_server((HERE, PORT))
    chooser = selectors.DefaultSelector()
    chooser.register(server, selectors.EVENT_READ)
    ready()
    while True:
        for key, _ in chooser.select():
            if key.fileobj is server:
                client = server.accept()[0]
                _kept.append(client)
                chooser.register(client, selectors.EVENT_READ)
            elif not (data := _kept[_kept.index(key.fileobj)].recv(100)):  # type: ignore[arg-type]
                chooser.unregister(key.fileobj)
            else:
                _kept[_kept.index(key.fileobj)].send(data)  # type: ignore[arg-type]


def stops_accepting() -> None:
    """Take one client, and then wait for something else."""
    server = socket.create_server((HERE, PORT), backlog=5)
    ready()
    _kept.append(server.accept()[0])
    _never.wait()


def stuck_handler() -> None:
    """Serve one client at a time, with a handler that waits for ever (the standard library's own backlog is 5)."""

    class Stuck(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10)
            _never.wait()

    with socketserver.TCPServer((HERE, PORT), Stuck) as server:
        ready()
        server.serve_forever()


def echoes() -> None:
    """Answer everybody, and close when they do."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(100):
                self.request.sendall(data)

    with socketserver.ThreadingTCPServer((HERE, PORT), Echo) as server:
        ready()
        server.serve_forever()


def silent_upstream() -> None:
    """Accept everybody, read what comes and answer nothing."""
    server = socket.create_server((HERE, PORT), backlog=1000)
    ready()
    while True:
        client = server.accept()[0]
        _kept.append(client)
        threading.Thread(target=lambda client=client: client.recv(1 << 16), daemon=True).start()


def endless_download() -> None:
    """Send for as long as there is room to whoever connects."""
    server = socket.create_server((HERE, PORT))

    def send(client: socket.socket) -> None:
        while True:
            client.sendall(bytes(1 << 16))

    ready()
    while True:
        threading.Thread(target=send, args=(server.accept()[0],), daemon=True).start()


# Clients.


def come_and_go() -> None:
    """Twenty clients that ask, get an answer and close."""
    for _ in range(20):
        with socket.create_connection((HERE, PORT)) as client:
            client.sendall(b"hello")
            client.recv(5)
    ready()


def hang_up() -> None:
    """Twelve clients that say something, want no answer and close."""
    for _ in range(12):
        with socket.create_connection((HERE, PORT)) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
    ready()


def crowd() -> None:
    """Two hundred clients that ask at once, and wait for an answer."""
    clients(200, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    ready()


def few() -> None:
    """Thirty clients that connect at once."""
    clients(30, b"hello")
    ready()


def leaks_connections() -> None:
    """Connect again and again, and close nothing, until no descriptor is left; then go on trying."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    try:
        while True:
            _kept.append(socket.create_connection((HERE, PORT)))
    except OSError as error:
        expect(error, errno.EMFILE)
    ready()


def takes_all_ports() -> None:
    """Connect again and again, until no port is left."""
    try:
        while True:
            _kept.append(socket.create_connection((HERE, PORT)))
    except OSError as error:
        expect(error, errno.EADDRNOTAVAIL)
    ready()


def short_connections() -> None:
    """Connect, ask and close, until no port is left, and go on trying; one connection is kept."""
    _kept.append(socket.create_connection((HERE, PORT)))
    is_said = False
    while not _never.wait(0.001 if not is_said else 0.05):
        try:
            with socket.create_connection((HERE, PORT)) as client:
                client.sendall(b"hello")
                client.recv(5)
        except OSError as error:
            expect(error, errno.EADDRNOTAVAIL)
            if not is_said:
                ready()
                is_said = True


def connects() -> None:
    """One client, which waits in connect(2)."""
    threading.Thread(target=socket.create_connection, args=((HERE, PORT),), daemon=True).start()
    ready()


def polite_then_silent() -> None:
    """A client that sends something twice a second."""
    client = socket.create_connection((HERE, PORT))
    ready()
    while not _never.wait(0.2):
        client.send(b"ping")


def main() -> NoReturn:
    threading.Thread(target=globals()[sys.argv[1]], daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
