"""A simulated fleet at a real NATS server, without agents, and ``portside fleet`` that is asked about it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping

from ctl_command import Done
from fleet_records import closed, finding, findings, iso, message, opened, socket, status, summary
from support import DEADLINE_S

from portside.fleet.broker import connect
from portside.fleet.schema import Envelope, Kind, Record, ServerEvent, encode
from portside.fleet.subjects import subject
from portside.settings.broker import BrokerOptions

Raw = tuple[str, bytes]


def publish(url: str, messages: Iterable[Envelope | Raw], *, json: bool = False, numbered: bool = True) -> None:
    """Publish messages, or bytes under a subject, and wait for each acknowledgement."""

    async def work() -> None:
        broker = await connect(BrokerOptions(nats=(url,)), name="test")
        try:
            for each in messages:
                if isinstance(each, tuple):
                    await broker.jetstream.publish(*each)
                    continue
                headers = {"Nats-Msg-Id": each.id} if numbered else None
                where = subject(each.site, each.node, each.kind)  # type: ignore[arg-type]
                await broker.jetstream.publish(where, encode(each, json=json), headers=headers)
        finally:
            await broker.close()

    asyncio.run(work())


def fleet(url: str, command: str, *words: str, env: Mapping[str, str] | None = None) -> Done:
    """Run a command of ``portside fleet`` to its end; ``env`` is added to the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "portside", "fleet", command, "--nats", url, *words],
        capture_output=True, timeout=DEADLINE_S, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def node_messages(number: int, of: int, at: float | None = None) -> list[Envelope]:
    """All kinds of messages of one node: it has a connection to the next node, and one from the node before."""
    at = time.time() if at is None else at
    own, later, before = (f"10.0.{each % of}.1" for each in (number, number + 1, number - 1))
    out = socket(f"{own}:40000", f"{later}:5432", program="app", send_q=100 + number, bytes_sent=50, bytes_received=9)
    into = socket(f"{own}:5432", f"{before}:40000", recv_q=7, bytes_sent=9, bytes_received=50, rtt_us=2500)
    groups = [
        summary("app", at, local_port=None, bytes_sent=1000, segs_out=100, retrans=1, rtt_us=300, sockets=1, opened=2),
        summary("postgres", at, bytes_received=500, sockets=1, reset=number),
    ]
    wrong = [finding(last_seen=at, count=number + 1)] if number % 2 == 0 else []
    server = ServerEvent(pid=55, event={"event": "opened", "at": iso(at), "conn": 1, "peer": "192.0.2.9:1234"})
    kinds: list[tuple[Kind, list[Record]]] = [
        ("node", [status(at, machine=f"m{number}")]),
        ("open", [opened(out, into, at=at)]),
        ("findings", [findings(*wrong, at=at)]),
        ("summary", list(groups)),
        ("closed", [closed(out, at), closed(into, at, of=3)]),
        ("server", [server]),
    ]
    return [
        message(kind, *records, node=f"node{number}", site="paris" if number % 2 == 0 else "tokyo",
                boot=f"{number:08x}", seq=10 * index + 1, at=at)
        for index, (kind, records) in enumerate(kinds)
    ]  # fmt: skip


def simulated(count: int) -> list[Envelope]:
    """The messages of as many nodes."""
    at = time.time()
    return [each for number in range(count) for each in node_messages(number, count, at)]
