"""The newest payload of each connection, open or closed not long ago, in bounded memory.

What was said last is in the ring, of all connections alike. When the ring drops payload, this memory takes it over
where it would be missed: a connection of which the ring holds newer messages in plenty (KEPT_MESSAGES) loses it, the
others keep it here. So a flood costs a look at each block of events, not one at each event, and the last lines of a
quiet client stay however busy the others are.

The memory has a budget for all connections together. When that is used up, those that hold the most lose their oldest
messages, down to a level that is the same for all, and the others lose nothing.
"""

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from portside.control.blocks import EVENT_BYTES, Entry, EventBlock

if TYPE_CHECKING:
    from portside.events import Payload

BUDGET_BYTES: Final = 24 << 20
CLOSED_CONNECTIONS: Final = 10_000  # of which messages are kept, beside all that are open
KEPT_MESSAGES: Final = 16

_event_of: Final = itemgetter(1)
_conn_of: Final = attrgetter("conn")
_data_of: Final = attrgetter("data")


class Held(NamedTuple):
    """The messages of a connection that are held, in their order.

    ``dropped`` came before them and are not; ``dropped_to`` is a number that no number of those is above.
    """

    entries: list[Entry]
    dropped: int
    dropped_to: int


class _History:
    """The messages of a connection that the ring has dropped, as far as they are kept.

    ``weight`` is the memory of the first ``weighed`` of them, in bytes: it is looked up only when room is needed.
    """

    __slots__ = ("dropped", "dropped_to", "entries", "weighed", "weight")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.dropped = 0  # how many messages are not kept any more
        self.dropped_to = 0  # a number that none of them is above
        self.weighed = 0
        self.weight = 0

    def weigh(self) -> int:
        """The weight of all that is kept."""
        new = self.entries[self.weighed :]
        if new:
            self.weight += sum(_sizes(new)) + len(new) * EVENT_BYTES
            self.weighed = len(self.entries)
        return self.weight

    def clear(self) -> None:
        """Drop all messages."""
        self.dropped += len(self.entries)
        self.entries.clear()
        self.weighed = self.weight = 0

    def trim(self, level: int) -> None:
        """Drop the oldest messages, all of which are weighed, until no more than ``level`` bytes are left."""
        at, weight = 0, self.weight
        for size in _sizes(self.entries):
            if weight <= level:
                break
            weight -= size + EVENT_BYTES
            at += 1
        self.dropped_to = self.entries[at - 1][0]
        self.dropped += at
        self.weight = weight
        self.weighed -= at
        del self.entries[:at]


class MessageStore:
    """The newest messages, by connection. ``open_connections`` are those of the server.

    ``newest`` are the blocks of payload that the ring holds.
    """

    def __init__(
        self,
        open_connections: Container[int],
        *,
        budget_bytes: int = BUDGET_BYTES,
        closed_connections: int = CLOSED_CONNECTIONS,
    ) -> None:
        self.newest: Iterable[EventBlock] = deque()
        self.bytes = 0  # of memory, beside the ring's, at most: it is weighed when the budget may be used up
        self._open = open_connections
        self._budget = budget_bytes
        self._closed_connections = closed_connections
        self._histories: dict[int, _History] = {}
        self._in_ring: dict[int, int] = {}  # messages in the ring's full blocks, by connection
        self._closed: dict[int, None] = {}  # connections in the order of their ends

    # Called by the ring.

    def enters(self, block: EventBlock) -> None:
        """Note what is in a block of the ring, which gets no more events."""
        block.counts = counts = Counter(map(_conn_of, block.events))
        in_ring = self._in_ring
        for conn, count in counts.items():
            in_ring[conn] = in_ring.get(conn, 0) + count

    def leaves(self, block: EventBlock) -> None:
        """Take over from a block that the ring drops what would be missed."""
        in_ring, histories, last = self._in_ring, self._histories, block.numbers[-1]
        taken = {}
        for conn, count in (block.counts or {}).items():
            in_ring[conn] = left = in_ring[conn] - count
            history = histories.get(conn)
            if history is None:
                if not self._is_kept(conn):
                    if not left:
                        del in_ring[conn]
                    continue
                history = histories[conn] = _History()
            if left < KEPT_MESSAGES:
                taken[conn] = history.entries.append
            else:
                if history.entries:
                    history.clear()
                history.dropped += count
                history.dropped_to = last
            if not left:
                del in_ring[conn]
        if taken:
            self._take(block, taken)

    def _take(self, block: EventBlock, taken: Mapping[int, Callable[[Entry], None]]) -> None:
        """Keep the messages of some connections."""
        for entry, conn in zip(zip(block.numbers, block.events, strict=True), map(_conn_of, block.events), strict=True):
            if conn in taken:
                taken[conn](entry)
        self.bytes += block.weight
        if self.bytes > self._budget:
            self._make_room()

    def _is_kept(self, conn: int) -> bool:
        return conn in self._open or conn in self._closed

    def closed(self, conn: int) -> None:
        """Note that a connection has ended; of those that have, the newest are kept."""
        self._closed[conn] = None
        if len(self._closed) > self._closed_connections:
            oldest = next(iter(self._closed))
            del self._closed[oldest]
            self._histories.pop(oldest, None)

    def _make_room(self) -> None:
        """Free a quarter of the budget, where less is free."""
        histories = self._histories.values()
        weights = sorted(history.weigh() for history in histories)
        target = self._budget - self._budget // 4
        if sum(weights) > target:
            level = _level(weights, target)
            for history in histories:
                if history.weight > level:
                    history.trim(level)
        self.bytes = sum(history.weight for history in histories)

    # Reading.

    def __contains__(self, conn: int) -> bool:
        """Whether the messages of a connection are kept, as far as there are any."""
        return self._is_kept(conn)

    def held(self, conn: int) -> Held:
        """The messages of a connection. Looks through what the ring holds: some milliseconds."""
        if not self._is_kept(conn):
            return Held([], 0, 0)
        history = self._histories.get(conn)
        entries: list[Entry] = list(history.entries) if history is not None else []
        for block in self.newest:
            if block.counts is None or conn in block.counts:
                entries += [
                    entry
                    for entry in zip(block.numbers, block.events, strict=True)
                    if cast("Payload", entry[1]).conn == conn
                ]
        return Held(entries, history.dropped, history.dropped_to) if history is not None else Held(entries, 0, 0)


def _sizes(entries: Iterable[Entry]) -> Iterable[int]:
    return map(len, map(_data_of, map(_event_of, entries)))


def _level(weights: Sequence[int], target: int) -> int:
    """The highest level to which all weights must be cut so that their sum is at most ``target``.

    ``weights`` ascend, and their sum is above the target.
    """
    left = target
    for index, weight in enumerate(weights):
        share = left // (len(weights) - index)
        if weight > share:
            return share
        left -= weight
    raise AssertionError("the weights are within the target")
