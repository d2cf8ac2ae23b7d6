"""Which messages the stream has: asked where JetStream may no longer know it from their ``Nats-Msg-Id``.

JetStream leaves out a message whose number it has had within the duplicate window, which is counted from when it
stored the first. What was sent so long ago, or in an earlier run, is looked for in the stream itself: the headers of
the messages of this node alone, behind the one that was the last when they were sent.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from portside.fleet.broker import CONNECT_S, BrokerConnection
from portside.fleet.subjects import STREAM

_AT_ONCE: Final = 500
_UNUSED_S: Final = 30.0  # after which the server forgets the consumer by itself


async def names_in_stream(broker: BrokerConnection, after: int, subjects: Sequence[str]) -> AsyncIterator[list[str]]:
    """The ``Nats-Msg-Id`` of the messages behind one, of the nodes that these subjects are of.

    Raises what nats-py raises.
    """
    config = ConsumerConfig(
        name=f"outbox-{secrets.token_hex(8)}",
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        filter_subjects=sorted({f"{each.rpartition('.')[0]}.*" for each in subjects}),
        headers_only=True,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=_UNUSED_S,
        mem_storage=True,
        num_replicas=1,
    )
    info = await broker.jetstream.add_consumer(STREAM, config)
    left = info.num_pending or 0
    if left:
        subscription = await broker.jetstream.pull_subscribe_bind(info.name, stream=STREAM)
        while left > 0:
            found = await subscription.fetch(min(left, _AT_ONCE), timeout=CONNECT_S)
            left -= len(found)
            yield [(each.headers or {}).get(Header.MSG_ID, "") for each in found]
        await subscription.unsubscribe()
    with suppress(nats.errors.Error):
        await broker.jetstream.delete_consumer(STREAM, info.name)
