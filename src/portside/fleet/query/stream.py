"""Reading from the stream: the last message of each subject, the history from a time on, and what comes after it.

A consumer of JetStream is made for each reading, without acknowledgements and in memory; the server forgets it soon
after we do. Its messages are asked for in large batches (bounded by bytes, since one may have a megabyte) and not taken
singly, so that a reader far away does not wait for each.

What a message says is checked here: that it can be read, that it is of a version we know, and that its site and node
are those of its subject, which is what the permissions of NATS are about. What does not pass is counted and left out.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.js import errors as js_errors

from portside.errors import InvalidValue
from portside.events import utc
from portside.fleet.broker import BrokerConnection
from portside.fleet.query.broker_clock import BrokerClock
from portside.fleet.schema import (
    ConnectionEvent,
    Envelope,
    Kind,
    LaterVersion,
    OpenConnections,
    ServerEvent,
    decode,
)
from portside.fleet.subjects import STREAM, of_kinds, word
from portside.json_text import encode_json
from portside.units import counted

_BATCH: Final = 5_000  # messages that are asked for at once
_BATCH_BYTES: Final = 32 << 20
_ASK_S: Final = 5.0  # how long an answer of JetStream may take
_WAIT_S: Final = 30.0  # how long a request for messages waits for the first
_HEARTBEAT_S: Final = 5.0
_SILENCE_S: Final = 2 * _HEARTBEAT_S + 1  # after which nothing more comes
_PAUSE_S: Final = 1.0  # between two messages that the server has at hand
_FORGOTTEN_S: Final = 30.0  # when the server forgets a consumer that nobody asks
_AGAIN_S: Final = 1.0  # between two attempts to make a consumer, while following
_MOST_REMEMBERED: Final = 200_000  # numbers of messages, by which one that comes twice is known
_MOST_NESTED: Final = 32
_MOST_BOOT: Final = 256  # characters: it is remembered of each message
_ACK_WORDS: Final = 9
_S: Final = 1_000_000_000

_pack = msgspec.msgpack.Encoder()


class StoredMessage(NamedTuple):
    """A message, and when the broker stored it, in seconds since 1970."""

    message: Envelope
    stored_at: float


class Batch(NamedTuple):
    """Messages in the order of the stream; ``is_end``: those that the stream had at the beginning are all there."""

    messages: list[StoredMessage]
    is_end: bool


class Which(NamedTuple):
    """The choice of messages that are read: of these kinds, and of a site and a node or of all."""

    kinds: tuple[Kind, ...]
    site: str | None = None
    node: str | None = None

    def has(self, message: Envelope) -> bool:
        """Whether a message is of this site and node by their full names."""
        return self.site in (None, message.site) and self.node in (None, message.node)


class LeftOut:
    """The messages that were left out because they cannot be read, are of a later version, or came twice."""

    def __init__(self) -> None:
        self.later = 0
        self.unreadable = 0
        self.twice = 0
        self._seen: OrderedDict[tuple[str, str, str, int], None] = OrderedDict()
        self._counted: OrderedDict[int, None] = OrderedDict()  # by their place in the stream

    def count_later(self, sequence: int) -> None:
        """Count a message of a later version, once however often it is read."""
        self.later += self._is_uncounted(sequence)

    def count_unreadable(self, sequence: int) -> None:
        """Count a message that cannot be read, once however often it is tried."""
        self.unreadable += self._is_uncounted(sequence)

    def _is_uncounted(self, sequence: int) -> bool:
        if sequence in self._counted:
            return False
        self._counted[sequence] = None
        if len(self._counted) > _MOST_REMEMBERED:
            self._counted.popitem(last=False)
        return True

    def is_new(self, message: Envelope) -> bool:
        """Whether a message comes for the first time, as far as that is remembered."""
        number = message.site, message.node, message.boot, message.seq
        if number in self._seen:
            return False
        self._seen[number] = None
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def forget_seen(self) -> None:
        """Begin anew: the same messages are read again, for another reason."""
        self._seen.clear()

    def sentences(self) -> list[str]:
        """A sentence for each reason, to be written at the end."""
        said = []
        if self.later:
            said.append(f"{counted(self.later, 'message')} of a later version left out: a newer Portside reads them")
        if self.unreadable:
            said.append(
                f"{counted(self.unreadable, 'message')} left out that cannot be read as what they are said to be"
            )
        if self.twice:
            said.append(f"{counted(self.twice, 'message')} left out that came a second time")
        return said


class JetStreamReader:
    """Reads from the stream of one broker."""

    def __init__(self, broker: BrokerConnection, js_domain: str | None = None) -> None:
        self._broker = broker
        self._api = "$JS.API" if js_domain is None else f"$JS.{js_domain}.API"
        self.left_out = LeftOut()
        self.clock = BrokerClock()

    async def last(self, which: Which, *, follow: bool = False) -> AsyncGenerator[Batch, None]:
        """The last message of each subject; with ``follow`` those that come, too, without end."""
        async for batch in self._read(which, None, follow=follow):
            yield batch

    async def history(self, which: Which, since_s: float, *, follow: bool = False) -> AsyncGenerator[Batch, None]:
        """The messages that were stored in the last ``since_s`` seconds; with ``follow`` those that come, too."""
        async for batch in self._read(which, since_s, follow=follow):
            yield batch

    async def _read(self, which: Which, since_s: float | None, *, follow: bool) -> AsyncGenerator[Batch, None]:
        """Raises what nats-py raises, and PortsideError; while following a lost consumer is made anew."""
        is_end = is_again = False
        start = self._start(since_s)
        while True:
            consumer = _Consumer(self._broker, self._api, self.clock)
            was_known = self.clock.is_known
            try:
                await consumer.make(which, start, wait=is_again)
                if not was_known and since_s is not None and self.clock.is_different:
                    start = self._start(since_s)
                    continue
                async for messages in consumer.batches(follow=follow):
                    is_end = is_end or consumer.is_end
                    yield Batch(self._decoded(messages, which, is_again=is_again), is_end)
                if not follow:
                    return
            except (TimeoutError, nats.errors.Error):
                if not (follow and is_end):
                    raise
            finally:
                await consumer.forget()
            is_again = True
            if "opt_start_time" in start and consumer.last_stored_ns:
                start = {**start, "opt_start_time": utc(consumer.last_stored_ns)}
            await asyncio.sleep(_AGAIN_S)

    def _start(self, since_s: float | None) -> dict[str, Any]:
        """Where a consumer begins: so many seconds ago by the broker's clock, or with the last of each subject."""
        if since_s is None:
            return {"deliver_policy": "last_per_subject"}
        since = max(0.0, self.clock.now() - since_s)
        return {"deliver_policy": "by_start_time", "opt_start_time": utc(int(since * _S))}

    def _decoded(self, messages: Iterable[Msg], which: Which, *, is_again: bool) -> list[StoredMessage]:
        """The messages as values; ``is_again``: some of them were read before the consumer was lost."""
        found = []
        for each in messages:
            stored = self._decode(each)
            if stored is None or not which.has(stored.message):
                continue
            if self.left_out.is_new(stored.message):
                found.append(stored)
            elif not is_again:
                self.left_out.twice += 1
        return found

    def _decode(self, raw: Msg) -> StoredMessage | None:
        place = _Place.of(raw.reply)
        if place is None:
            return None
        words = raw.subject.split(".")
        try:
            message = decode(raw.data, words[-1])
            if raw.data[:1] == b"{":
                _pack.encode(message.records)  # JSON may have a number that nothing else can write
        except LaterVersion:
            self.left_out.count_later(place.sequence)
            return None
        except (InvalidValue, OverflowError, RecursionError):
            self.left_out.count_unreadable(place.sequence)
            return None
        is_deep = any(each is not None and _is_too_deep(each, _MOST_NESTED) for each in _free_values(message))
        if (
            is_deep
            or len(message.boot) > _MOST_BOOT
            or len(words) != 4
            or words[1:3] != [word(message.site), word(message.node)]
            or words[3] != message.kind
        ):
            self.left_out.count_unreadable(place.sequence)
            return None
        return StoredMessage(message, place.stored_ns / _S)


def _free_values(message: Envelope) -> Iterator[dict[str, Any] | None]:
    """The parts of a message that may be of any type, and so may have anything inside."""
    for record in message.records:
        match record:
            case ConnectionEvent(socket=socket):
                yield socket.info
            case OpenConnections(sockets=sockets):
                yield from (each.info for each in sockets)
            case ServerEvent(event=event):
                yield event


def _is_too_deep(value: dict[str, Any] | list[Any], most: int) -> bool:
    """Whether a value has more inside each other than can be written again: each level takes some of the stack."""
    inside = value.values() if isinstance(value, dict) else value
    containers = [each for each in inside if type(each) is dict or type(each) is list]
    return bool(containers) and (not most or any(_is_too_deep(each, most - 1) for each in containers))


class _Place(NamedTuple):
    """Where a message is in the stream, which the subject for its acknowledgement tells."""

    sequence: int
    stored_ns: int

    @classmethod
    def of(cls, reply: str) -> "_Place | None":
        """None for what no stream has sent."""
        words = reply.split(".")
        # $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING, or with domain and account after ACK
        at = 5 if len(words) == _ACK_WORDS else 7
        if words[:2] != ["$JS", "ACK"] or not all(each.isdecimal() for each in (words[at : at + 3] or [""])):
            return None
        return cls(int(words[at]), int(words[at + 2]))


class _Consumer:
    """A consumer of the stream, from which batches are pulled."""

    def __init__(self, broker: BrokerConnection, api: str, clock: BrokerClock) -> None:
        self._broker = broker
        self._clock = clock
        self._client = broker.client
        self._api = api
        self._name: str | None = None
        self._left = 0
        self._messages: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Any = None
        self._inbox = self._client.new_inbox()
        self._is_lost = self._is_empty = self._is_silent = False
        self.last_stored_ns = 0

    @property
    def is_end(self) -> bool:
        """Whether all came that the stream had when the consumer was made."""
        return self._left <= 0

    async def make(self, which: Which, start: dict[str, Any], *, wait: bool) -> None:
        """Make it. ``wait``: for as long as it takes until the server answers."""
        name = self._inbox.rpartition(".")[2]
        config = {
            **start,
            "name": name,
            "filter_subjects": of_kinds(which.kinds, which.site, which.node),
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(_FORGOTTEN_S * _S),
        }
        request = encode_json({"stream_name": STREAM, "config": config, "action": "create"})
        while True:
            asked_at = self._clock.steady()
            try:
                made = await self._ask(f"CONSUMER.CREATE.{STREAM}.{name}", request)
                break
            except (TimeoutError, nats.errors.Error):
                if not wait:
                    raise
                await asyncio.sleep(_AGAIN_S)
        self._clock.learn(made.get("created"), asked_at)
        self._name = name
        self._left = int(made.get("num_pending", 0))
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._take, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def _take(self, message: Msg) -> None:
        self._messages.put_nowait(message)

    async def _ask(self, what: str, request: bytes) -> dict[str, Any]:
        """An answer of the API of JetStream. Raises what nats-py raises; at once where we may not ask."""
        reply: Msg = await self._broker.allowed(self._client.request(f"{self._api}.{what}", request, timeout=_ASK_S))
        answer = msgspec.json.decode(reply.data)
        if "error" in answer:
            js_errors.APIError.from_error(answer["error"])
        found: dict[str, Any] = answer
        return found

    async def batches(self, *, follow: bool) -> AsyncIterator[list[Msg]]:
        """The messages that come, in pieces: up to the end, or with ``follow`` until the consumer is lost.

        Where there is nothing yet, the first piece is empty. Raises TimeoutError where it is lost before the end.
        """
        if self.is_end:
            yield []
        size: int | None = _BATCH_BYTES
        while follow or not self.is_end:
            count = 0
            asked = 1 if size is None else _BATCH if follow else min(_BATCH, self._left)
            await self._pull(asked, size, wait=follow)
            async for messages in self._answers(asked, wait=follow):
                count += len(messages)
                self._left -= len(messages)
                self._note_place(messages[-1])
                yield messages
            if self._is_lost and not (self._is_silent and count):
                if follow:
                    return
                raise TimeoutError
            size = _BATCH_BYTES if count else None  # one message may be above the bytes
            if not count and not follow and self._is_empty:  # some have gone since it was made
                self._left = 0
                yield []

    def _note_place(self, message: Msg) -> None:
        place = _Place.of(message.reply)
        if place is not None:
            self.last_stored_ns = place.stored_ns

    async def _pull(self, count: int, size: int | None, *, wait: bool) -> None:
        request: dict[str, object] = {"batch": count}
        if size is not None:
            request["max_bytes"] = size
        if wait:
            request.update(expires=int(_WAIT_S * _S), idle_heartbeat=int(_HEARTBEAT_S * _S))
        else:
            request["no_wait"] = True
        subject = f"{self._api}.CONSUMER.MSG.NEXT.{STREAM}.{self._name}"
        await self._client.publish(subject, encode_json(request), reply=self._inbox)

    async def _answers(self, asked: int, *, wait: bool) -> AsyncIterator[list[Msg]]:
        """The messages for one request; afterwards it is known whether the consumer is lost, or has nothing more.

        The server says nothing at the end of a request whose bytes were used up exactly. Where something came, silence
        may be that, and one asks again.
        """
        self._is_lost = self._is_empty = self._is_silent = False
        limit = _SILENCE_S
        while asked > 0:
            try:
                first = await asyncio.wait_for(self._messages.get(), limit)
            except TimeoutError:
                self._is_lost = self._is_silent = True
                return
            limit = limit if wait else _PAUSE_S
            waiting = [first, *(self._messages.get_nowait() for _ in range(self._messages.qsize()))]
            messages = [each for each in waiting if each.reply.startswith("$JS.ACK.")]
            asked -= len(messages)
            if messages:
                yield messages
            for each in waiting:
                if not each.reply and self._is_last_word(each):
                    return

    def _is_last_word(self, message: Msg) -> bool:
        """Whether a message without a place in the stream says that no more comes for a request."""
        headers = message.headers or {}
        status, words = str(headers.get("Status", "")), str(headers.get("Description", "")).lower()
        if status not in ("404", "408", "409", "503"):
            return False
        self._is_empty = status in ("404", "408")
        self._is_lost = status == "503" or any(each in words for each in ("deleted", "shutdown", "leadership"))
        return True

    async def forget(self) -> None:
        """Have the server forget it; never fails."""
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            if self._name is not None and self._client.is_connected:
                await self._client.publish(f"{self._api}.CONSUMER.DELETE.{STREAM}.{self._name}")
        except nats.errors.Error:
            return
