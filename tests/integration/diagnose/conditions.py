"""Programs with a condition each, made for real in this network namespace; run as ``python conditions.py NAME``.

Each prints ``ready`` with the port that matters, and holds the condition until its standard input ends.
"""

import contextlib
import ctypes
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable

LOCALHOST = "127.0.0.1"
_stop = threading.Event()
_kept: list[socket.socket] = []


def keep(channel: socket.socket) -> socket.socket:
    _kept.append(channel)
    return channel


def listening(backlog: int = 128, **options: int) -> socket.socket:
    server = keep(socket.socket())
    for name, value in options.items():
        server.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    server.bind((LOCALHOST, 0))
    server.listen(backlog)
    return server


def connected(server: socket.socket, **options: int) -> tuple[socket.socket, socket.socket]:
    client = keep(socket.socket())
    for name, value in options.items():
        client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    client.connect(server.getsockname())
    return client, keep(server.accept()[0])


def port_of(channel: socket.socket) -> int:
    port: int = channel.getsockname()[1]
    return port


def started(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def accept_queue_overflow() -> int:
    server = listening(5)
    for _ in range(12):
        client = keep(socket.socket())
        client.setblocking(False)
        client.connect_ex(server.getsockname())
    return port_of(server)


def close_wait_leak() -> int:
    server = listening()
    for _ in range(20):
        client, _ = connected(server)
        client.close()
    return port_of(server)


def receiver_slow() -> int:
    server = listening(SO_RCVBUF=4096)
    client, _ = connected(server)
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        return port_of(server)


def connect_refused() -> int:
    server = listening()
    port = port_of(server)
    server.close()

    def refuse() -> None:
        while not _stop.wait(0.05):
            with socket.socket() as client:
                client.connect_ex((LOCALHOST, port))

    started(refuse)
    return port


def nagle_delay() -> int:
    server = listening()
    client, accepted = connected(server)

    def answer() -> None:
        while data := accepted.recv(65536):
            if data.endswith(b"."):
                accepted.send(b"ok")

    def ask() -> None:
        while not _stop.is_set():
            client.send(b"a" * 50)
            client.send(b"b" * 50 + b".")
            client.recv(100)

    started(answer)
    started(ask)
    return port_of(server)


def self_connected() -> int:
    client = keep(socket.socket())
    client.bind((LOCALHOST, 0))
    client.connect(client.getsockname())
    return port_of(client)


def descriptors_near() -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    server = listening()
    for _ in range(26):
        connected(server)
    return port_of(server)


def port_exhaustion() -> int:
    server = listening()
    for _ in range(90):
        connected(server)
    return port_of(server)


def reuseport_imbalance() -> int:
    first = listening(SO_REUSEPORT=1)
    second = keep(socket.socket())
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind(first.getsockname())
    second.listen(128)

    def accept() -> None:
        while True:
            keep(second.accept()[0])

    started(accept)
    for _ in range(60):
        keep(socket.create_connection(first.getsockname()))
    return port_of(first)


def reset_unread() -> int:
    server = listening()

    def reset() -> None:
        while not _stop.wait(0.02):
            client = socket.create_connection(server.getsockname())
            client.send(b"unread")
            server.accept()[0].close()
            client.close()

    started(reset)
    return port_of(server)


def retransmits() -> int:
    """A classic BPF filter on the accepted socket drops one segment in five at random (SO_ATTACH_FILTER)."""
    server = listening()
    client, accepted = connected(server)
    program = [
        (0x20, 0, 0, 0xFFFFF038),  # ld random (SKF_AD_OFF + SKF_AD_RANDOM)
        (0x25, 1, 0, 0x33333333),  # jgt #0.2 * 2^32: keep
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    ]
    attach(accepted, program)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)

    def send() -> None:
        while not _stop.wait(0.002):
            client.send(bytes(20_000))

    def read() -> None:
        while accepted.recv(1 << 20):
            pass

    started(read)
    started(send)
    return port_of(server)


def drop_everything(channel: socket.socket) -> None:
    """Let a socket get no segment any more (SO_ATTACH_FILTER)."""
    attach(channel, [(0x06, 0, 0, 0)])


def peer_vanished() -> int:
    server = listening()
    client, accepted = connected(server)
    client.send(b"x")
    drop_everything(accepted)
    drop_everything(client)
    client.send(bytes(5000))
    return port_of(server)


def idle_unprotected() -> int:
    server = listening()
    for _ in range(5):
        connected(server)
    return port_of(server)


def fin_wait_pile() -> int:
    server = listening()
    for _ in range(30):
        connected(server)[1].shutdown(socket.SHUT_WR)
    return port_of(server)


def small_mss() -> int:
    server = keep(socket.socket())
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 500)
    server.bind((LOCALHOST, 0))
    server.listen()
    client, _ = connected(server)
    client.send(bytes(10_000))
    return port_of(server)


def time_wait_overflow() -> int:
    server = listening()

    def ask() -> None:
        while not _stop.wait(0.01):
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            client.close()
            accepted.close()

    started(ask)
    return port_of(server)


def syn_queue_overflow() -> int:
    """A raw socket sends SYNs from addresses that nobody has, so that no handshake is finished."""
    server = listening(2)
    raw = keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))

    def flood() -> None:
        number = 0
        while not _stop.wait(0.002):
            number = number % 60_000 + 1
            raw.sendto(syn(f"192.0.{number >> 8}.{number & 255}", port_of(server)), (LOCALHOST, 0))

    started(flood)
    return port_of(server)


def syn(source: str, port: int) -> bytes:
    """An IPv4 packet with a SYN to this port; the kernel fills in the checksum of IP, and TCP's is right."""
    ends = socket.inet_aton(source) + socket.inet_aton(LOCALHOST)
    segment = struct.pack("!HHIIBBHHH", 1024, port, 7, 0, 5 << 4, 2, 1024, 0, 0)
    words = struct.unpack("!16H", ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    segment = segment[:16] + struct.pack("!H", checksum) + segment[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, 0) + ends + segment


def attach(channel: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Attach a classic BPF program to a socket: struct sock_fprog."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    channel.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))


# Loads with nothing wrong.


def bulk() -> int:
    server = listening()
    client, accepted = connected(server)

    def send() -> None:
        while not _stop.is_set():
            client.sendall(bytes(1 << 20))

    def read() -> None:
        while accepted.recv(1 << 20):
            pass

    started(read)
    started(send)
    return port_of(server)


def idle() -> int:
    """10,000 connections, or as many as there may be descriptors for."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = listening(4096)
    for _ in range(min(10_000, most // 3)):
        connected(server)
    return port_of(server)


def storm() -> int:
    """As many short connections a second as one process makes."""
    server = listening(1024)

    def serve() -> None:
        while True:
            accepted, _ = server.accept()
            accepted.recv(100)
            accepted.sendall(b"answer")
            accepted.close()

    def ask() -> None:
        while not _stop.is_set():
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(b"question")
                while client.recv(100):
                    pass

    started(serve)
    started(ask)
    return port_of(server)


def slow_readers() -> int:
    server = listening()
    pairs = [connected(server) for _ in range(8)]

    def send(client: socket.socket) -> None:
        while not _stop.is_set():
            client.sendall(bytes(65536))

    def read() -> None:
        while not _stop.wait(0.1):
            for _, accepted in pairs:
                accepted.recv(20_000)

    started(read)
    for client, _ in pairs:
        threading.Thread(target=send, args=(client,), daemon=True).start()
    return port_of(server)


def restart() -> int:
    """A server that is killed every four seconds and comes back after one; its clients try again."""
    server = listening()
    address = server.getsockname()
    server.close()

    def run() -> None:
        while not _stop.is_set():
            with subprocess.Popen(
                [sys.executable, __file__, "echo_server", str(address[1])], stdin=subprocess.PIPE
            ) as serving:
                _stop.wait(4)
                serving.kill()
            _stop.wait(1)

    def ask() -> None:
        while not _stop.wait(0.1):
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=5) as client:
                while not _stop.wait(0.05):
                    client.send(b"x")
                    client.recv(1)

    started(run)
    for _ in range(20):
        started(ask)
    return int(address[1])


def echo_server() -> int:
    """The server of ``restart``, on the port that stands behind its name."""
    server = socket.create_server((LOCALHOST, int(sys.argv[2])))

    def echo(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := accepted.recv(100):
                accepted.send(data)

    def accept() -> None:
        while True:
            threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()

    started(accept)
    return port_of(server)


def main() -> None:
    port = globals()[sys.argv[1]]()
    print("ready", port, flush=True)
    sys.stdin.read()
    _stop.set()


main()
