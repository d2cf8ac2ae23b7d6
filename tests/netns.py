"""Network namespaces for tests: one that a scenario runs in, and a second one beside it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

LOOPBACK = 'ip link set lo up && exec "$@"'
LIMIT_S = 110


OWN_PROCESSES = ("--pid", "--fork", "--kill-child", "--mount-proc")
"""Options of ``run_in_netns`` for a namespace of processes, too: all that were started end with the first."""


def run_in_netns(module: str, *arguments: str, options: Sequence[str] = (), limit_s: float = LIMIT_S) -> None:
    """Run ``python -m MODULE ARGUMENTS`` as root of new user, network and mount namespaces, with the loopback up.

    Fails unless it exits with 0 and writes nothing to standard error.
    """
    words = ["unshare", "-Urnm", *options, "sh", "-c", LOOPBACK, "sh", sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=limit_s)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@contextlib.contextmanager
def other_netns(code: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A process in a second network namespace that has run ``code``; the process ends with its standard input."""
    script = f"import socket, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    words = ["unshare", "-n", "sh", "-c", LOOPBACK, "sh", sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


def rename_loopback(name: bytes) -> None:
    """Rename the loopback interface of this namespace, to any bytes, and give it the address fe80::1."""
    for words in (
        [b"link", b"set", b"lo", b"down"],
        [b"link", b"set", b"lo", b"name", name],
        [b"link", b"set", name, b"up"],
        [b"addr", b"add", b"fe80::1/64", b"dev", name, b"nodad"],
    ):
        subprocess.run([b"ip", *words], check=True)
