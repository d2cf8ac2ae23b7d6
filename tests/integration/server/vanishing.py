"""Scenarios for a network namespace of their own: peers that vanish without a word, and peers that are gone.

The peers live in a second namespace, whose address can be taken away: what is sent to them is dropped from then on.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support import DEADLINE_S, Program, connect, wait_until

HERE, THERE = "10.9.9.1", "10.9.9.2"
KEEPALIVE = ("--keepalive", "1s")
_PEER = f"""
import subprocess
sys.stdin.readline()
for words in ("addr add {THERE}/24 dev there", "link set there up"):
    subprocess.run(["ip", *words.split()], check=True)
listener = socket.create_server(("{THERE}", 0))
print(listener.getsockname()[1], flush=True)
clients = [socket.create_connection(("{HERE}", int(port))) for port in sys.stdin.readline().split()]
accepted = [listener.accept() for _ in range(4)]
print("connected", flush=True)
sys.stdin.readline()
subprocess.run(["ip", "addr", "flush", "dev", "there"], check=True)
print("gone", flush=True)
"""


@contextlib.contextmanager
def _running(*arguments: str, **options: object) -> Iterator[Program]:
    program = Program(*arguments, **options)  # type: ignore[arg-type]
    try:
        yield program
    finally:
        program.kill()


def _vanished() -> None:
    """Silent clients and servers vanish, and some with data under way: each is closed as that."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        code = Path(folder, "peer.py")
        code.write_text("import socket, sys\n" + _PEER)
        peer = stack.enter_context(
            subprocess.Popen(
                ["unshare", "-n", sys.executable, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(peer.kill)
        assert peer.stdin is not None
        assert peer.stdout is not None
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{peer.pid}/ns/net") != own, "the other namespace")
        for words in (
            f"link add here type veth peer name there netns {peer.pid}",
            f"addr add {HERE}/24 dev here",
            "link set here up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        print(file=peer.stdin, flush=True)
        port = peer.stdout.readline().strip()
        silent = stack.enter_context(_running("listen", f"{HERE}:0", "--format", "json", *KEEPALIVE))
        busy = stack.enter_context(
            _running("listen", f"{HERE}:0", "--format", "json", "--stdin", *KEEPALIVE, stdin=subprocess.PIPE)
        )
        client = stack.enter_context(
            _running("connect", f"{THERE}:{port}", "--format", "json", *KEEPALIVE, stdin=subprocess.PIPE)
        )
        senders = [
            stack.enter_context(
                _running("connect", f"{THERE}:{port}", "-v", *KEEPALIVE, *options, stdin=subprocess.PIPE)
            )
            for options in ((), ("--format", "text"))
        ]
        relay = stack.enter_context(
            _running("listen", "127.0.0.1:0", "--forward", f"{THERE}:{port}", "--format", "json", *KEEPALIVE)
        )
        relayed = stack.enter_context(connect(relay.port))
        print(silent.port, busy.port, file=peer.stdin, flush=True)
        assert peer.stdout.readline() == "connected\n"
        for program in (silent, busy, client):
            program.wait_for('"opened"')
        print(file=peer.stdin, flush=True)
        assert peer.stdout.readline() == "gone\n"
        for program in (busy, *senders):
            assert program.process.stdin is not None
            program.process.stdin.write(b"into the void\n")
            program.process.stdin.flush()
        relayed.sendall(b"into the void\n")
        for program in (silent, busy, client):
            program.wait_for('"closed".*"peer_vanished"')
        relay.wait_for('"closed".*"reason":"error".*"error":"upstream: it has vanished","by":"upstream"')
        assert client.wait() == 1
        for program in senders:
            assert program.wait() == 1
            program.wait_for("it acknowledges nothing any more", err=True)
        for program in (silent, busy, relay):
            assert program.stop() == 0


def _gone() -> None:
    """Peers that have closed their sockets altogether answer a probe with a reset; the connection ended in order."""
    Path("/proc/sys/net/ipv4/tcp_fin_timeout").write_text("1")
    with _running("listen", "127.0.0.1:0", "--once", "--stdin", *KEEPALIVE, stdin=subprocess.PIPE) as server:
        connect(server.port).close()
        assert server.wait() == 0
        server.wait_for("closed by peer")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
        with _running("connect", address, "-v", *KEEPALIVE, stdin=subprocess.PIPE) as client:
            listener.settimeout(DEADLINE_S)
            listener.accept()[0].close()
            assert client.wait() == 0
            client.wait_for("closed by peer", err=True)


if __name__ == "__main__":
    {"vanished": _vanished, "gone": _gone}[sys.argv[1]]()
