"""A process of a program whose name the kernel cuts, with a listener and a connection to it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONG_NAME = "a-program-with-a-long-name"
LISTENER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
client = socket.create_connection(listener.getsockname()[:2])
accepted, _ = listener.accept()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def long_name(folder: Path) -> Iterator[tuple[int, int]]:
    """A process of a program whose name the kernel cuts, and the port of its listener."""
    program = folder / LONG_NAME
    program.write_text(f"#!{sys.executable}\n{LISTENER}")
    program.chmod(0o700)
    words: list[str | Path] = [program, "127.0.0.1", "an argument\x1b[2J"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.communicate()
