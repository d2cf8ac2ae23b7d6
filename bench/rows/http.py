"""The same nginx under ``portside load`` and under ``wrk``: HTTP requests in a closed loop."""

import json
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import machine, peers
from bench.build import OUT
from bench.peers import ENVIRONMENT, Peer
from bench.program import LIMIT_S
from bench.report import Result
from bench.rows import Plan
from bench.server import Server, Work

CLIENTS, RUN_S = 50, 5
PAGE = f"<html>{'x' * 51}</html>"
REQUEST = r"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
REPLY = r"/ 200 OK(?s:.*)<\/html>/"

Rated = tuple[float, str]
"""Requests a second, and what went wrong if anything did."""


def http(plan: Plan) -> Iterator[Result]:
    """Requests a second on connections that are kept."""
    present = [plan.has((program,)) for program in ("nginx", "wrk")]  # each that is missing is named
    if not all(present):
        return
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT / "tmp") as folder:
        server = Peer("nginx", partial(_nginx, Path(folder)), output="null")
        seconds = 1 if plan.quick else RUN_S
        turns = {name: partial(_once, server, client, seconds) for name, client in CLIENTS_BY_NAME.items()}
        taken = plan.by_turns(turns)
    rates = {name: [rate for rate, _ in values] for name, values in taken.items()}
    works = tuple([work for _, work in values] for values in taken.values())
    row = f"load: HTTP, GET of a page of 64 bytes from nginx, {CLIENTS} connections, one worker"
    yield Result(row, "requests/s", rates["ours"], "wrk -t1", rates["wrk"], None, NOTE, works)


def _once(server: Peer, client: Callable[[int, int], Rated], seconds: int) -> tuple[float, Work]:
    with Server(server) as running:
        server_s, load_s, start = machine.cpu_s(running.pid), _children_s(), time.monotonic()
        rate, wrong = client(running.port, seconds)
        work = Work(
            seconds=time.monotonic() - start,
            server_cpu_s=machine.cpu_s(running.pid) - server_s,
            load_cpu_s=_children_s() - load_s,
            failed=0,
        )
    if wrong:
        raise RuntimeError(f"against nginx: {wrong}")
    return rate, work


def _load(port: int, seconds: int) -> Rated:
    options = ("--workers", "1", "-c", str(CLIENTS), "-d", f"{seconds}s", "--message", REQUEST, "--reply", REPLY)
    report = json.loads(_said(peers.PORTSIDE, "load", f"127.0.0.1:{port}", "--json", *options))
    return float(report["rate"]), ", ".join(f"{count} {kind}" for kind, count in report["errors"].items())


def _wrk(port: int, seconds: int) -> Rated:
    said = _said("wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/")
    rate = re.search(r"^Requests/sec: *([\d.]+)$", said, re.MULTILINE)
    if rate is None:
        raise RuntimeError(f"wrk said {said[-300:]}")
    wrong = re.search(r"Socket errors: .*|Non-2xx .*", said)
    return float(rate[1]), wrong[0] if wrong else ""


def _said(*command: str) -> str:
    with machine.on_core(machine.LOAD_CORE):
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _children_s() -> float:
    """CPU seconds of the programs that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _nginx(folder: Path, port: int) -> list[str]:
    """One process of nginx with a configuration of its own, which is written for this port."""
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / f"{port}.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{ }}\n"
        f"http {{ access_log off; keepalive_requests 1000000000; {paths}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ default_type text/html; return 200 '{PAGE}'; }} }} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config)]


CLIENTS_BY_NAME: dict[str, Callable[[int, int], Rated]] = {"ours": _load, "wrk": _wrk}
NOTE = (
    "nginx and the client have a core each. `wrk` parses HTTP in C; `load` finds the status and the end of the page by "
    "a regular expression."
)
