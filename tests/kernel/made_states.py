"""Sockets in every state that can be made on loopback without root, all on addresses of their own."""

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
NETWORK = "127.77.0.0/16"
HOST = "127.77.0.1"


class States:
    """The sockets, and what the kernel needs to be asked for to see only them."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.ports: set[int] = set()

    def listener(self, host: str = HOST, backlog: int = 1024, **options: bool) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = self.stack.enter_context(socket.create_server((host, 0), family=family, backlog=backlog, **options))
        self.ports.add(listener.getsockname()[1])
        return listener

    def connect(self, listener: socket.socket, host: str = HOST) -> tuple[socket.socket, socket.socket]:
        """A connection: the end that dialled, and the one that was accepted."""
        client = self.stack.enter_context(socket.create_connection((host, listener.getsockname()[1])))
        accepted = self.stack.enter_context(listener.accept()[0])
        return client, accepted

    def stuff(self, sender: socket.socket) -> None:
        """Send until neither side takes more, so that nothing that is said after it arrives."""
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(bytes(1 << 16))


@contextlib.contextmanager
def quiet_network() -> Iterator[None]:
    """A network where nobody else is, for this thread and the programs that it starts.

    Without root it stays the machine's own, where others' load may get in the way.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET):
            yield
            return
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


@contextlib.contextmanager
def made_states(count: int = 100) -> Iterator[States]:
    """Every state; ``count`` connections are simply established."""
    states = States()
    with states.stack:
        listener = states.listener()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        for _ in range(count):
            states.connect(listener)
        # ESTABLISHED with data on its way, and some that was read only in part.
        client, accepted = states.connect(listener)
        client.send(b"x" * 5000)
        accepted.recv(100)
        accepted.send(b"answer")
        client, _ = states.connect(listener)
        states.stuff(client)
        # CLOSE_WAIT and FIN_WAIT2.
        client, _ = states.connect(listener)
        client.shutdown(socket.SHUT_WR)
        # TIME_WAIT.
        for _ in range(3):
            client, accepted = states.connect(listener)
            client.close()
            accepted.close()
        # FIN_WAIT1: a FIN behind data that the peer does not take; one still held, one that nobody holds.
        client, _ = states.connect(listener)
        states.stuff(client)
        client.shutdown(socket.SHUT_WR)
        client, _ = states.connect(listener)
        states.stuff(client)
        client.close()
        # CLOSING and FIN_WAIT2: the peer closes too, while our FIN waits.
        client, accepted = states.connect(listener)
        states.stuff(client)
        client.shutdown(socket.SHUT_WR)
        accepted.shutdown(socket.SHUT_WR)
        # LAST_ACK: the peer closed first, and our FIN waits behind data.
        client, accepted = states.connect(listener)
        states.stuff(client)
        accepted.shutdown(socket.SHUT_WR)
        client.shutdown(socket.SHUT_WR)
        # Connections that wait to be accepted, and SYN_SENT where no more may wait.
        full = states.listener(backlog=1)
        for _ in range(4):
            waiting = states.stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        # SYN_RECV: the server wants data before it believes in a connection.
        deferring = states.listener()
        deferring.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        states.stack.enter_context(socket.create_connection(deferring.getsockname()))
        # IPv6, and IPv4 through an IPv6 socket.
        six = states.listener("::1")
        states.connect(six, "::1")
        dual = states.listener("::", dualstack_ipv6=True)
        states.connect(dual)
        # One socket, several descriptors and several processes.
        client, _ = states.connect(listener)
        copy = os.dup(client.fileno())
        states.stack.callback(os.close, copy)
        yield states
