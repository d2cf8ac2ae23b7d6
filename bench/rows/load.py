"""``portside load`` beside the C load client and iperf3, and whether its percentiles are those of the schedule."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench import machine, peers
from bench.program import LIMIT_S
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

CLIENTS = 50
TRIPS, SHORT, BULK_S = 400_000, 20_000, 4.0
RATE, RUN_S = 5_000, 10.0
PAUSE_S, EVERY_S = 0.2, 2.0


def load(plan: Plan) -> Iterator[Result]:
    """Round trips, lateness at half of that rate, connections, bulk, and the accuracy of percentiles."""
    yield from _closed(plan)
    yield from _connections(plan)
    yield from _bulk(plan)
    yield from _accuracy(plan)


def _closed(plan: Plan) -> Iterator[Result]:
    trips = plan.some(TRIPS)
    rates = plan.by_turns({"ours": partial(_trips, trips), "C load": partial(_trips_of_c, trips)})
    ours, theirs = rates["ours"], rates["C load"]
    row = f"load: {CLIENTS} connections, a line of 64 bytes there and back, one worker, against the C echo"
    yield Result(row, "trips/s", ours, "C load", theirs, Bar(0.5), NOTE)
    half = min(ours) / 2
    seconds = 5 if not plan.quick else 1
    late = plan.by_turns({"late": partial(_late, half, seconds)}, min(plan.runs, 3))["late"]
    yield Result(
        "load: an open loop at half of that, p99 of its lateness", "us", late, bar=Bar(1000, True, absolute=True)
    )


def _connections(plan: Plan) -> Iterator[Result]:
    count = plan.some(SHORT)
    rates = plan.by_turns({"ours": partial(_short, count), "C load": partial(_short_of_c, count)})
    row = f"load: connections with one line each, {CLIENTS} at a time, one worker, against the C sink"
    yield Result(row, "1/s", rates["ours"], "C load", rates["C load"], Bar(0.6))


def _bulk(plan: Plan) -> Iterator[Result]:
    if not plan.has(("iperf3",)):
        return
    seconds = BULK_S if not plan.quick else 1.0
    rates = plan.by_turns({"ours": partial(_bulk_once, seconds), "iperf3": partial(_iperf, seconds)})
    yield Result("load: one stream of bytes", "MB/s", rates["ours"], "iperf3", rates["iperf3"], Bar(0.9), NOTE_BULK)


def _accuracy(plan: Plan) -> Iterator[Result]:
    runs = plan.by_turns({"off": partial(_paused, plan)}, min(plan.runs, 3))["off"]
    for at, name in enumerate(("p99", "p99.9")):
        row = f"load: {name} at {RATE:,}/s of a server that stops for 200 ms every 2 s, off the schedule's by"
        yield Result(row, "%", [each[at] for each in runs], bar=Bar(5, at_most=True, absolute=True), note=NOTE_ACCURACY)


def _load(port: int, *options: str) -> Any:
    command = [peers.PORTSIDE, "load", f"127.0.0.1:{port}", "--json", *options]
    with machine.on_core(machine.LOAD_CORE):
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr.decode("utf-8", "replace"))
    return json.loads(done.stdout)


def _trips(count: int) -> float:
    with Server(peers.C_ECHO) as server:
        return float(_load(server.port, "-n", str(count), "-c", str(CLIENTS), "--workers", "1")["rate"])


def _trips_of_c(count: int) -> float:
    with Server(peers.C_ECHO) as server:
        return count / server.work("trips", CLIENTS, count // CLIENTS).seconds


def _late(rate: float, seconds: int) -> float:
    with Server(peers.C_ECHO) as server:
        options = ("--rate", f"{rate:.0f}/s", "-d", f"{seconds}s", "-c", str(CLIENTS), "--workers", "1")
        return float(_load(server.port, *options)["late_us"]["p99"])


def _short(count: int) -> float:
    with Server(peers.C_SINK) as server:
        options = ("--reply", "none", "--per-connection", "1", "-c", str(CLIENTS), "--workers", "1")
        report = _load(server.port, "-n", str(count), *options)
        return float(report["sent"] / report["duration"])


def _short_of_c(count: int) -> float:
    with Server(peers.C_SINK) as server:
        return count / server.work("short", CLIENTS, count).seconds


def _bulk_once(seconds: float) -> float:
    with Server(peers.C_SINK) as server:
        options = ("-c", "1", "--reply", "none", "--message", "random:256k", "-d", f"{seconds}s")
        report = _load(server.port, *options)
        return float(report["bytes_sent"] / report["duration"] / 1e6)


def _iperf(seconds: float) -> float:
    port = machine.free_port()
    with machine.on_core(machine.SERVER_CORE):
        server = subprocess.Popen(["iperf3", "-s", "-1", "-p", str(port), "-B", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        while not machine.is_listening(port):
            time.sleep(0.01)
        with machine.on_core(machine.LOAD_CORE):
            command = ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", f"{seconds:.0f}", "-J", "-l", "256K"]
            done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=True)
        return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 8e6
    finally:
        server.kill()
        server.wait()


def _paused(plan: Plan) -> tuple[float, float]:
    """How far p99 and p99.9 are from those that the pauses make of the schedule, in percent."""
    seconds = RUN_S if not plan.quick else 4.0
    with Server(peers.C_ECHO) as server:
        pauses: list[float] = []
        ended = threading.Event()

        def pause() -> None:
            while not ended.wait(EVERY_S - PAUSE_S):
                began = time.monotonic()
                os.kill(server.pid, signal.SIGSTOP)
                ended.wait(PAUSE_S)
                os.kill(server.pid, signal.SIGCONT)
                pauses.append(time.monotonic() - began)

        thread = threading.Thread(target=pause)
        thread.start()
        try:
            report = _load(server.port, "--rate", f"{RATE}/s", "-d", f"{seconds:.0f}s", "-c", str(CLIENTS))
        finally:
            ended.set()
            thread.join()
    times = report["latency_us"]
    wanted = [_scheduled(pauses, seconds, percent) * 1e6 for percent in (99, 99.9)]
    return _off(times["p99"], wanted[0]), _off(times["p99_9"], wanted[1])


def _scheduled(pauses: Sequence[float], seconds: float, percent: float) -> float:
    """A percentile, in seconds, of how long messages at RATE wait for a server that stops for so long each time."""
    waits = np.zeros(int(RATE * seconds))
    at = 0
    for pause in pauses[: round(seconds / EVERY_S)]:
        count = int(pause * RATE)
        waits[at : at + count] = pause - np.arange(count) / RATE
        at += count
    return float(np.percentile(waits, percent))


def _off(value: float, wanted: float) -> float:
    return abs(value - wanted) / wanted * 100


NOTE = "Load client and server have a core each; the report of `load` is made in its own process."
NOTE_BULK = "iperf3 writes blocks of 256 kB too; both servers read and drop."
NOTE_ACCURACY = "SIGSTOP and SIGCONT; the percentiles are computed from the schedule and the pauses as they were."
