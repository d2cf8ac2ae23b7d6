"""Sockets in every TCP state that can be produced on loopback without root, on addresses that no other test uses."""

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
    """The sockets, and the listening ports that select them in a filter."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.ports: set[int] = set()

    def listener(self, host: str = HOST, backlog: int = 1024, **options: bool) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = self.stack.enter_context(socket.create_server((host, 0), family=family, backlog=backlog, **options))
        self.ports.add(listener.getsockname()[1])
        return listener

    def connect(self, listener: socket.socket, host: str = HOST) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection: the client's, and the accepted one."""
        client = self.stack.enter_context(socket.create_connection((host, listener.getsockname()[1])))
        accepted = self.stack.enter_context(listener.accept()[0])
        return client, accepted

    def fill_buffers(self, sender: socket.socket) -> None:
        """Send until the peer's receive buffer and our send buffer are full; a FIN after that stays queued."""
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(bytes(1 << 16))


@contextlib.contextmanager
def private_netns() -> Iterator[None]:
    """An empty network namespace, for this thread and the programs that it starts.

    Without root this thread stays in the machine's network, where the load of others may disturb a test.
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
def every_tcp_state(count: int = 100) -> Iterator[States]:
    """Sockets in every state, ``count`` of the connections simply established."""
    states = States()
    with states.stack:
        listener = states.listener()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        for _ in range(count):
            states.connect(listener)
        # ESTABLISHED with data in flight, and with data that was read only in part.
        client, accepted = states.connect(listener)
        client.send(b"x" * 5000)
        accepted.recv(100)
        accepted.send(b"answer")
        client, _ = states.connect(listener)
        states.fill_buffers(client)
        # CLOSE_WAIT and FIN_WAIT2.
        client, _ = states.connect(listener)
        client.shutdown(socket.SHUT_WR)
        # TIME_WAIT.
        for _ in range(3):
            client, accepted = states.connect(listener)
            client.close()
            accepted.close()
        # FIN_WAIT1: a FIN behind data that the peer does not read; one socket still open, one orphaned.
        client, _ = states.connect(listener)
        states.fill_buffers(client)
        client.shutdown(socket.SHUT_WR)
        client, _ = states.connect(listener)
        states.fill_buffers(client)
        client.close()
        # CLOSING and FIN_WAIT2: the peer closes too, while our FIN waits.
        client, accepted = states.connect(listener)
        states.fill_buffers(client)
        client.shutdown(socket.SHUT_WR)
        accepted.shutdown(socket.SHUT_WR)
        # LAST_ACK: the peer closed first, and our FIN waits behind data.
        client, accepted = states.connect(listener)
        states.fill_buffers(client)
        accepted.shutdown(socket.SHUT_WR)
        client.shutdown(socket.SHUT_WR)
        # Connections in an accept queue, and SYN_SENT where that queue is full.
        full = states.listener(backlog=1)
        for _ in range(4):
            waiting = states.stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        # SYN_RECV: TCP_DEFER_ACCEPT holds the handshake open until data comes.
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
