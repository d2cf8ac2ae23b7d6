"""Random bytes of one client as text and as a hex dump, beside the programs people show binary files with."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import machine, peers
from bench.disk import folder_on_disk
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

SIZE = 50 * 10**6
COMMANDS = {"text": ["cat", "-v"], "hex": ["xxd"]}
BARS_MB_S = {"text": 40, "hex": 60}


def binary(plan: Plan) -> Iterator[Result]:
    """Megabytes a second, from the first byte sent until all is in the output file."""
    with folder_on_disk() as folder:
        source = Path(folder, "source")
        data = os.urandom(plan.some(SIZE))
        source.write_bytes(data)
        for form, command in COMMANDS.items():
            turns = {"portside": partial(_shown, form, data)}
            if plan.has(command):
                turns[command[0]] = partial(_converted, command, source)
            rates = plan.by_turns(turns)
            ours = rates.pop("portside")
            row = f"{len(data) // 10**6} MB of random bytes, --format {form}, to a file"
            bar = Bar(BARS_MB_S[form], absolute=True)
            for theirs in rates.values():
                yield Result(row, "MB/s", ours, " ".join(command), theirs, bar, NOTE)


def _shown(form: str, data: bytes) -> float:
    with Server(peers.portside("--format", form)) as server:
        with machine.on_core(machine.LOAD_CORE), socket.create_connection(("127.0.0.1", server.port)) as client:
            start = time.time()
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        server.wait_until_quiet()
        return len(data) / 1e6 / (server.output.stat().st_mtime - start)


def _converted(command: list[str], source: Path) -> float:
    with machine.on_core(machine.SERVER_CORE), open(source, "rb") as stdin, open(source.with_name("out"), "wb") as out:
        start = time.perf_counter()
        subprocess.run(command, stdin=stdin, stdout=out, check=True)
        return source.stat().st_size / 1e6 / (time.perf_counter() - start)


NOTE = "cat -v and xxd read a file and show no peer and no time. The bar is for Portside's figure itself."
