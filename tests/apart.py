"""Networks of their own: for a test that needs one for itself, and beside the one that it is in."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = 'ip link set lo up && exec "$@"'
LIMIT_S = 100


def run_apart(module: str, story: str) -> None:
    """Have ``python -m MODULE STORY`` run where it may do what root may, to a network, to /run and to its sockets.

    It has to end well and say nothing.
    """
    words = ["unshare", "-Urnm", "sh", "-c", LOOPBACK, "sh", sys.executable, "-m", module, story]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@contextlib.contextmanager
def another_network(code: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Another network, and a process in it that has run some code; it ends with its standard input."""
    script = f"import socket, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    words = ["unshare", "-n", "sh", "-c", LOOPBACK, "sh", sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


def name_loopback(name: bytes) -> None:
    """Give this network's loopback a name, which may be any, and the address fe80::1."""
    for words in (
        [b"link", b"set", b"lo", b"down"],
        [b"link", b"set", b"lo", b"name", name],
        [b"link", b"set", name, b"up"],
        [b"addr", b"add", b"fe80::1/64", b"dev", name, b"nodad"],
    ):
        subprocess.run([b"ip", *words], check=True)
