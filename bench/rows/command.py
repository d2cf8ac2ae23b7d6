"""A program that shows something and ends: how long that takes, and whether it has shown it."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Any

from bench.build import OUT
from bench.peers import ENVIRONMENT
from bench.program import LIMIT_S, ask


def to_a_file(command: Sequence[str], sought: bytes, at_least: int) -> float:
    """Milliseconds from before the process is made to its end; its output must hold some bytes often enough."""
    OUT.mkdir(exist_ok=True)
    with TemporaryFile(dir=OUT) as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, env=ENVIRONMENT
        )
        end = os.pidfd_open(process.pid)
        try:
            # Not wait(timeout), which looks only every 50 ms.
            ended = select.select([end], [], [], LIMIT_S)[0]
            took_ms = (time.perf_counter() - start) * 1e3
        finally:
            os.close(end)
            process.kill()
            status = process.wait()
        output.seek(0)
        found = output.read().count(sought)
    if not ended or status or found < at_least:
        raise RuntimeError(f"{' '.join(command)} ended with {status}, and {found} of {at_least} rows are there")
    return took_ms


def probe(name: str, *arguments: str, sockets: int) -> dict[str, Any]:
    """What one of `bench.probes` measured in a process of its own; it must have seen so many sockets."""
    said = ask([sys.executable, "-m", f"bench.probes.{name}", *arguments])
    if said["sockets"] < sockets:
        raise RuntimeError(f"{name}: {sockets} sockets should be there, it saw {said['sockets']}")
    return said
