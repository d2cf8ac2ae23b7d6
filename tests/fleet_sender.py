"""A publisher as a process of its own: ``station``, told what to do by lines; ``kills``, killed again and again.

fleet_sender.py station FOLDER URL               lines ``make N``, ``status``; it ends with its standard input
fleet_sender.py kills FOLDER URL ROUNDS LOG      the numbers of all records that were kept are in LOG
"""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from fleet_stream import Station
from support import wait_until

from portside.errors import PortsideError
from portside.fleet.outbox import journal
from portside.fleet.outbox.database import Outgoing
from portside.fleet.outbox.session import PublishSession
from portside.fleet.outbox.store import Outbox
from portside.fleet.schema import decode
from portside.fleet.subjects import kind_of

FIRST = 1_000_000  # number of the first record of a round, times its round
MOST_EVENTS = 40


def run_station(folder: str, url: str) -> int:
    """A station that is told what to do; each line is answered with its status, as JSON."""
    try:
        station = Station(Path(folder), url)
    except PortsideError as error:
        print(json.dumps({"error": str(error), "hint": error.hint}), flush=True)
        return 1
    try:
        for line in sys.stdin:
            words = line.split()
            if words[0] == "make":
                station.make(int(words[1]), "x" * 100)
                station.wait_kept()
            status, counts = station.outbox.status(), station.publisher.counts
            answer = {"records": status.records, "dropped": status.dropped, "oldest_s": status.oldest_s}
            print(json.dumps({**answer, "acknowledged": counts.records, "said": station.said}), flush=True)
    finally:
        station.close()
    return 0


def run_kills(folder: str, url: str, rounds: int, log: str) -> int:
    """A station a round, killed at some moment; then one that sends what is left."""
    chosen = random.Random(7)
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(rounds):
        events, ours = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(events)
            try:
                make_until_killed(Path(folder), url, number, ours, log_fd)
            finally:
                os._exit(3)
        os.close(ours)
        left = chosen.randrange(1, MOST_EVENTS)
        while left > 0 and (data := os.read(events, left)):
            left -= len(data)
        os.close(events)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if left > 0 or not os.WIFSIGNALED(status):
            return 1
    station = Station(Path(folder), url)
    try:
        wait_until(station.outbox.is_empty, "the outbox to be empty", 90)
    finally:
        station.close()
    return 0


def make_until_killed(folder: Path, url: str, number: int, events: int, log: int) -> None:
    """Make records; each event (kept, acknowledged) is a byte."""
    journal.GATHER_S = 0.002
    put, answered, kept = Outbox.put, PublishSession._answered, threading.Event()

    def logged(outbox: Outbox, messages: list[Outgoing]) -> None:
        put(outbox, messages)
        records = [each for message in messages for each in decode(message.data, kind_of(message.subject)).records]
        os.write(log, "".join(f"{each.event['number']}\n" for each in records).encode())
        os.write(events, b"k")
        kept.set()

    def told(*given: Any) -> None:
        answered(*given)
        os.write(events, b"a")

    Outbox.put, PublishSession._answered = logged, told  # type: ignore[method-assign, assignment]
    station = Station(folder, url)
    station.made = FIRST * number
    while True:
        station.make(5)
        kept.wait()
        kept.clear()


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "station":
        sys.exit(run_station(*words))
    sys.exit(run_kills(words[0], words[1], int(words[2]), words[3]))
