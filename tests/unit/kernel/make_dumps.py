"""Makes the stored dumps next to this file from the kernel of the machine it runs on: python make_dumps.py

It runs itself in a network namespace of its own (which needs root), so that the dumps hold the sockets made here and
nothing else. What was true of them when they were dumped is in ``expected.json``.
"""

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "dumps"
CLONE_NEWNET = 0x40000000
INFO, CONGESTION, MEMORY = 1 << 1, 1 << 3, 1 << 6


def dump(family: int, extensions: int, states: int = 0xFFF) -> bytes:
    """All sockets of a family, as the kernel answers."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as channel:
        channel.send(struct.pack("=IHHII BBBxI48x", 72, 20, 0x301, 1, 0, family, 6, extensions, states))
        answer = b""
        while True:
            data = channel.recv(1 << 17)
            answer += data
            if struct.unpack_from("=H", data, 4)[0] == 3:
                return answer


def connect(listener: socket.socket, host: str) -> tuple[socket.socket, socket.socket]:
    """A connection to a listener: the end that dialled and the one that was accepted."""
    client = socket.create_connection((host, listener.getsockname()[1]))
    return client, listener.accept()[0]


def main() -> None:
    """Make sockets in many states, and store what the kernel says of them."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit("this needs root, for a network namespace of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    destroyed = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4)
    destroyed.bind((0, 1 << 0 | 1 << 2))  # groups 1 and 3
    destroyed.settimeout(5)
    listener = socket.create_server(("127.0.0.1", 0), backlog=7)
    dual = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    four, four_accepted = connect(listener, "127.0.0.1")
    four_accepted.send(b"x" * 1000)
    four.send(b"y" * 30)
    four_accepted.recv(10)
    queued = socket.create_connection(listener.getsockname())
    mapped = connect(dual, "127.0.0.1")
    six = connect(dual, "::1")
    half = connect(dual, "::1")
    half[0].shutdown(socket.SHUT_WR)
    gone = connect(dual, "::1")
    gone[0].close()
    gone[1].close()
    expected = {
        "listener": listener.getsockname()[1],
        "dual": dual.getsockname()[1],
        "four": four.getsockname()[1],
        "queued": queued.getsockname()[1],
        "mapped": mapped[0].getsockname()[1],
        "six": six[0].getsockname()[1],
        "half": half[0].getsockname()[1],
        "listener_inode": os.fstat(listener.fileno()).st_ino,
        "four_inode": os.fstat(four.fileno()).st_ino,
        "uid": os.getuid(),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, extensions in (("full", INFO | CONGESTION | MEMORY), ("plain", 0)):
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            (FOLDER / f"{name}{version}.bin").write_bytes(dump(family, extensions))
    expected["destroyed"] = port = reset(four)
    four_accepted.close()
    announced = b""
    while port.to_bytes(2, "big") not in announced:
        announced += destroyed.recv(1 << 16)
    (FOLDER / "destroyed.bin").write_bytes(announced)
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def reset(client: socket.socket) -> int:
    """Close a connection by a reset; the port it had."""
    port: int = client.getsockname()[1]
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return port


if __name__ == "__main__":
    main()
