"""Simulated nodes of a fleet in one process: what they publish is made up, all behind it is what agents have.

Each node has its own journal, outbox and publisher. Its feed is that of an agent on a machine with connections that
close, so many a second, with their last tcp_info; and its signs of life, open connections, findings and summaries.
It runs until standard input ends, then sends what waits, and prints what was made as a JSON object.

    python -m bench.fleet_feed URL FOLDER FIRST COUNT RATE
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from portside.diagnosis.findings import Finding, Subject
from portside.errors import Hint
from portside.fleet.agent.event_records import stamp
from portside.fleet.outbox.journal import Journal, new_boot
from portside.fleet.outbox.publisher import Publisher
from portside.fleet.outbox.store import Outbox
from portside.fleet.schema import (
    ConnectionEvent,
    CurrentFindings,
    Kind,
    NodeStatus,
    OpenConnections,
    Record,
    TrafficSummary,
)
from portside.kernel.models import Owner, Socket
from portside.settings.broker import BrokerOptions
from portside.version import __version__

GATHER_S = 0.2  # an agent under load hands over what has closed about so often
SIGNS_S, SUMMARIES_S, LOOKS_S = 10.0, 60.0, 5.0
NODES, CLOSED, OPEN, GROUPS = 100, 200, 40, 30
LAST_S = 30.0
PROGRAMS = (("postgres", 5432), ("nginx", 443), ("redis-server", 6379), ("billing", 8080), ("python3", 8000))


def _address(number: int) -> str:
    return f"10.0.{number}.1"


@dataclass
class Feed:
    """What one node says; the same for the same number."""

    number: int
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.number)
        self.name = f"node{self.number:03}"
        self.address = _address(self.number)
        self.started = stamp(time.time_ns())
        self.ended = [self._socket("CLOSE") for _ in range(CLOSED)]
        self.open = [end for at in range(OPEN // 2) for end in self._ends(at)]
        self.at = 0

    def closed(self, count: int) -> list[ConnectionEvent]:
        """The connections that have closed since the last call, spread evenly over that time."""
        end = time.time_ns()
        step = int(GATHER_S * 1e9) // max(1, count)
        found = []
        for nth in range(count - 1, -1, -1):
            at = stamp(end - nth * step)
            found.append(
                ConnectionEvent(event="closed", at=at, seen="destroy", socket=self._another(), duration=0.0123)
            )
        return found

    def signs(self, journal: Journal, outbox: Outbox) -> list[tuple[Kind, Record]]:
        """What is now: the sign of life, the open connections, what is wrong."""
        at = stamp(time.time_ns())
        status = NodeStatus(
            at=at, every_s=SIGNS_S, version=__version__, machine=f"{self.number:032x}", started=self.started,
            system="Linux 6.18", cpus=2, load=round(self.chance.uniform(0.1, 2), 2),
            sockets={"ESTABLISHED": OPEN, "LISTEN": len(PROGRAMS), "TIME_WAIT": CLOSED},
            cpu_s=round(time.process_time() / 25, 3), rss_bytes=60 << 20, records=journal.records,
            outbox=outbox.status(),
        )  # fmt: skip
        return [
            ("node", status),
            ("open", OpenConnections(at=at, total=OPEN, sockets=tuple(self.open))),
            ("findings", CurrentFindings(at=at, findings=tuple(self._findings(at)))),
        ]

    def summaries(self) -> list[TrafficSummary]:
        """The groups of a minute."""
        at, chance = stamp(time.time_ns()), self.chance
        groups = []
        for nth in range(GROUPS):
            program, port = PROGRAMS[nth % len(PROGRAMS)]
            closed = chance.randrange(50, 400)
            groups.append(
                TrafficSummary(
                    at=at, period_s=60.0, program=program, local_port=port, remote=f"10.0.{nth}.0/24",
                    state="CLOSE" if nth % 2 else "ESTABLISHED", sockets=chance.randrange(50), opened=closed,
                    closed=closed, reset=closed // 50, bytes_sent=closed * chance.randrange(1000, 90_000),
                    bytes_received=closed * chance.randrange(100, 9000), segs_out=closed * 12, retrans=closed // 9,
                    rtt_us=chance.randrange(80, 30_000),
                )
            )  # fmt: skip
        return groups

    def _another(self) -> Socket:
        """One of those that have ended with other numbers, so that no record is the copy of another."""
        self.at += 1
        like = self.ended[self.at % CLOSED]
        assert like.info is not None
        mixed = self.at * 2_654_435_761 & 0xFFFF_FFFF
        sent, received, rtt = mixed % 1_999_993, mixed % 99_991, 60 + mixed % 19_997
        info = {
            **like.info, "cookie": (self.number << 24) + self.at, "rtt_us": rtt, "rttvar_us": rtt // 3,
            "min_rtt_us": rtt // 2, "bytes_sent": sent, "bytes_acked": sent + 2, "bytes_received": received,
            "segs_out": sent // 1448 + 5, "segs_in": sent // 2896 + 4, "data_segs_out": sent // 1448 + 1,
            "delivery_rate": mixed >> 4, "busy_us": mixed >> 12,
        }  # fmt: skip
        return Socket(
            proto=like.proto, family=like.family, state=like.state, recv_q=0, send_q=0, local=like.local,
            remote=f"10.{mixed >> 30}.{(mixed >> 16) & 127}.{(mixed >> 8) & 63}:{32768 + mixed % 28_231}",
            inode=like.inode and like.inode + self.at, uid=like.uid, owners=like.owners, info=info, gaps=like.gaps,
        )  # fmt: skip

    def _findings(self, at: str) -> list[Finding]:
        if self.number % 5 > 1:
            return []
        count = 200 + self.number
        return [
            Finding(
                code="close-wait-leak",
                severity="critical",
                subject=Subject(
                    kind="program", pid=1000 + self.number, program="billing", local=f"{self.address}:8080"
                ),
                summary=f"billing leaks sockets: {count} connections, whose clients have closed, wait for its close()",
                evidence={"close_wait": count, "oldest_s": 412.0},
                why="The clients have closed their end, and the program has not.",
                remedy="Close the connection once recv() returns nothing.",
                first_seen=self.started,
                last_seen=at,
                count=count,
            )
        ]

    def _ends(self, at: int) -> list[Socket]:
        """This node's end of a connection to the next node, and of one from the node before; of some, bytes wait."""
        found = []
        for client in (self.number, (self.number - 1) % NODES):
            chance = random.Random(1000 * client + at)
            program, port = chance.choice(PROGRAMS)
            sent, received = chance.randrange(200, 4_000_000), chance.randrange(100, 300_000)
            unread = chance.randrange(1000, 90_000) if at == 0 and client % 4 == 1 else 0
            ends = f"{_address(client)}:{40_000 + at}", f"{_address((client + 1) % NODES)}:{port}"
            is_client = client == self.number
            like = self._socket("ESTABLISHED")
            assert like.owners
            assert like.info is not None
            mine, other = (sent, received) if is_client else (received, sent)
            owner = Owner(like.owners[0].pid, "app" if is_client else program, like.owners[0].fd)
            found.append(
                Socket(
                    proto="tcp", family=4, state="ESTABLISHED", recv_q=0 if is_client else unread, send_q=0,
                    local=ends[not is_client], remote=ends[is_client], inode=like.inode, uid=998, owners=(owner,),
                    info={**like.info, "bytes_sent": mine, "bytes_acked": mine + 1, "bytes_received": other}, gaps={},
                )
            )  # fmt: skip
        return found

    def _socket(self, state: str) -> Socket:
        """A connection of this node with another one, with numbers as the kernel has them."""
        chance = self.chance
        program, port = chance.choice(PROGRAMS)
        peer = (self.number + chance.randrange(1, 10)) % NODES
        segments, sent = chance.randrange(4, 4000), chance.randrange(200, 4_000_000)
        received, rtt = chance.randrange(100, 300_000), chance.randrange(60, 40_000)
        retrans = chance.choice((0, 0, 0, 0, 0, 0, 1, segments // 100))
        is_owned = state != "CLOSE" or chance.random() < 0.5
        return Socket(
            proto="tcp", family=4, state=state, recv_q=0, send_q=0, local=f"{self.address}:{port}",
            remote=f"{_address(peer)}:{chance.randrange(32768, 60999)}",
            inode=chance.randrange(10_000, 10_000_000) if is_owned else None, uid=998 if is_owned else None,
            owners=(Owner(pid=chance.randrange(300, 30_000), program=program, fd=chance.randrange(5, 900)),)
            if is_owned
            else None,
            info={
                "cookie": chance.randrange(1, 1 << 31), "rtt_us": rtt, "rttvar_us": rtt // 3, "min_rtt_us": rtt // 2,
                "rcv_rtt_us": rtt + 90, "mss": 1448, "pmtu": 1500, "cwnd": chance.randrange(10, 90),
                "ssthresh": chance.randrange(7, 60), "snd_wnd": 64_256, "rcv_wnd": 65_536, "bytes_sent": sent,
                "bytes_acked": sent + 1, "bytes_received": received, "bytes_retrans": retrans * 1448,
                "segs_out": segments, "segs_in": segments - segments // 3, "data_segs_out": segments - 3,
                "data_segs_in": segments // 2, "retrans_total": retrans, "lost": 0, "reordering": 3, "reord_seen": 0,
                "dsack_dups": 0, "rcv_ooopack": 0, "total_rto": 0, "total_rto_time_ms": 0, "delivered_ce": 0,
                "received_ce": 0, "rehash": 0, "delivery_rate": chance.randrange(10**5, 10**9),
                "busy_us": chance.randrange(10**3, 10**7), "rwnd_limited_us": 0, "sndbuf_limited_us": 0,
                "last_data_sent_ms": chance.randrange(0, 900), "last_data_recv_ms": chance.randrange(0, 900),
            },
            gaps={} if is_owned else {"owners": "its program had closed it before anybody looked"},
        )  # fmt: skip


class Node:
    """A simulated node; ``run`` publishes until ``ended``."""

    def __init__(self, number: int, folder: Path, url: str, rate: float) -> None:
        self.feed = Feed(number)
        self.made: Counter[str] = Counter()
        self._each = rate * GATHER_S
        site = ("paris", "tokyo", "austin", "lima")[number % 4]
        self.outbox = Outbox(
            os.fspath(folder / self.feed.name), most_bytes=64 << 20, most_age_s=86_400.0, notify=self._notify
        )
        self.journal = Journal(self.outbox, site=site, node=self.feed.name, boot=new_boot(), notify=self._notify)
        self.publisher = Publisher(
            self.outbox, BrokerOptions(nats=(url,)), name=f"agent {self.feed.name}", notify=self._notify
        )

    def _notify(self, words: str, hint: Hint = None) -> None:
        print(f"{self.feed.name}: {words}", hint or "", file=sys.stderr, flush=True)

    async def run(self, ended: asyncio.Event) -> None:
        publishing = asyncio.create_task(self.publisher.run())
        phase = self.feed.chance.random()
        start = due = time.monotonic() + phase * GATHER_S
        signs, owed = start + phase * SIGNS_S, 0.0
        summaries = start + phase * LOOKS_S  # a minute ends for all at one time, and then with a look at the table
        while not ended.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += GATHER_S
            owed += self._each
            self._add("closed", self.feed.closed(int(owed)))
            owed -= int(owed)
            if due > signs:
                signs += SIGNS_S
                for kind, record in self.feed.signs(self.journal, self.outbox):
                    self._add(kind, [record])
            if due > summaries:
                summaries += SUMMARIES_S
                self._add("summary", self.feed.summaries())
        await asyncio.to_thread(self.journal.close)
        async with asyncio.timeout(LAST_S):
            await self.publisher.wait_empty()
        publishing.cancel()
        await asyncio.wait((publishing,))
        self.made["dropped"] = self.outbox.status().dropped
        self.outbox.close()

    def _add(self, kind: Kind, records: list[ConnectionEvent] | list[TrafficSummary] | list[Record]) -> None:
        if records:
            self.journal.add(kind, records)
            self.made[kind] += len(records)


async def feed(url: str, folder: Path, numbers: range, rate: float) -> Counter[str]:
    """Run these nodes until standard input ends: how many records of each kind they have made."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    nodes = [Node(number, folder, url, rate) for number in numbers]
    print("ready", flush=True)
    await asyncio.gather(*(node.run(ended) for node in nodes))
    return sum((node.made for node in nodes), Counter[str]())


def main(url: str, folder: str, first: str, count: str, rate: str) -> None:
    numbers = range(int(first), int(first) + int(count))
    print(json.dumps(asyncio.run(feed(url, Path(folder), numbers, float(rate)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
