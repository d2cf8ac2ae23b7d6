"""`python -m bench.probes.publish FOLDER URL RECORDS SOCKET`: what an agent does with closed connections.

First while its broker is away: RECORDS of them are numbered, encoded and kept in an outbox. Then they are published,
until the last is acknowledged. SOCKET is the connection, as `watch --json` has it.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

import msgspec

from portside.fleet.broker import connect
from portside.fleet.outbox.journal import Journal, new_boot
from portside.fleet.outbox.publisher import Publisher
from portside.fleet.outbox.store import Outbox
from portside.fleet.schema import ConnectionEvent
from portside.fleet.subjects import ALL, STREAM
from portside.kernel.models import Socket
from portside.settings.broker import BrokerOptions

AT_ONCE = 500  # connections that a source hands in together
MOST_BYTES = 4 << 30
MOST_WAITING = 2000  # records in memory, which has room for 8 MiB


def main() -> None:
    folder, url, count, socket = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    closed = ConnectionEvent(
        event="closed",
        at=datetime.now(UTC).isoformat(),
        seen="destroy",
        socket=msgspec.json.decode(socket, type=Socket),
        was="ESTABLISHED",
        duration=2.5,
    )
    outbox = Outbox(folder, most_bytes=MOST_BYTES, most_age_s=3600, notify=fail)
    started, cpu = time.perf_counter(), time.process_time()
    journal = Journal(outbox, site="bench", node="bench", boot=new_boot(), notify=fail)
    for made in range(0, count, AT_ONCE):
        journal.add("closed", [closed] * min(AT_ONCE, count - made))
        while made - outbox.status().records > MOST_WAITING:
            time.sleep(0.001)
    journal.close()
    kept_s, kept_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    status = outbox.status()
    if status.dropped or status.records != count:
        raise RuntimeError(f"{status.records} of {count} are in the outbox")
    started, cpu = time.perf_counter(), time.process_time()
    asyncio.run(publish(outbox, BrokerOptions(nats=(url,)), count))
    sent_s, sent_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    outbox.close()
    found = {"kept_s": kept_s, "kept_cpu_s": kept_cpu_s, "sent_s": sent_s, "sent_cpu_s": sent_cpu_s}
    print(json.dumps({**found, "bytes": status.bytes}))


async def publish(outbox: Outbox, options: BrokerOptions, count: int) -> None:
    """Publish all that is in the outbox; each of the records has to be acknowledged once."""
    broker = await connect(options, name="bench")
    await broker.jetstream.add_stream(name=STREAM, subjects=[ALL])
    await broker.close()
    publisher = Publisher(outbox, options, name="bench", notify=fail)
    task = asyncio.create_task(publisher.run())
    await publisher.wait_empty()
    task.cancel()
    if publisher.counts.records != count or publisher.counts.resent:
        raise RuntimeError(f"{publisher.counts} of {count}")


def fail(*words: object) -> None:
    """Nothing is to be said."""
    raise RuntimeError(" ".join(map(str, words)))


if __name__ == "__main__":
    main()
