"""Faults as values: their connections, their times and their effects. ``settings.faults`` parses text into these.

A ``FaultSpec`` has three parts:

    selector    which connections have the fault: p=, first=, every=, net=
    window      when and where the fault acts on a connection: at, after, for; in, out, both; upstream
    effect      what the fault does: one type per kind, with the arguments of that kind

``KINDS`` registers each kind once: its effect and the words that it takes. Times are in seconds, sizes in bytes.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from portside.networks import Network

Direction = Literal["in", "out"]

BOTH: Final[tuple[Direction, ...]] = ("in", "out")


class Selector(msgspec.Struct, frozen=True, gc=False):
    """Connections that have a fault; all of them by default."""

    p: float = 1.0  # probability, drawn for each connection
    first: int | None = None  # the first so many
    every: int | None = None  # each so manieth
    net: Network | None = None  # those that come from there; the other three count these alone


class Window(msgspec.Struct, frozen=True, gc=False):
    """Times, bytes and directions for which a fault acts on a connection; from its begin to its end by default."""

    at: int | None = None  # bytes of a direction that pass before the fault begins; excludes ``after``
    after: float | None = None  # seconds from the connection (a port's fault: from its opening) to the fault
    lasts: float | None = None  # seconds, ``for``; None: to the end
    directions: tuple[Direction, ...] = ()
    upstream: bool = False  # on the connection to the address of --forward, in place of the client's


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of what a fault does."""

    @property
    def is_random(self) -> bool:
        """Whether the effect draws random numbers."""
        return False


class Drop(Effect, frozen=True, gc=False):
    """Discards bytes."""


class Corrupt(Effect, frozen=True, gc=False):
    """Inverts one bit of a byte, with this probability for each byte."""

    probability: float

    @property
    def is_random(self) -> bool:
        return True


class Latency(Effect, frozen=True, gc=False):
    """Delays bytes by ``delay``, and by up to ``jitter`` more or less; they stay in order."""

    delay: float
    jitter: float = 0.0

    @property
    def is_random(self) -> bool:
        return self.jitter > 0


class Rate(Effect, frozen=True, gc=False):
    """Limits the throughput."""

    bytes_per_s: int


class Slice(Effect, frozen=True, gc=False):
    """Cuts the stream into pieces of these sizes (smallest, largest), at least ``gap`` apart."""

    sizes: tuple[int, int]
    gap: float = 0.0

    @property
    def is_random(self) -> bool:
        return self.sizes[0] != self.sizes[1]


class Stall(Effect, frozen=True, gc=False):
    """Holds back all bytes; inwards, the connection is not read either."""


class Ending(Effect, frozen=True, gc=False):
    """Base of the effects that end a connection, or one direction of it."""


class Limit(Ending, frozen=True, gc=False):
    """Closes the connection at the first byte beyond ``max_bytes``."""

    max_bytes: int


class ShutdownWrite(Ending, frozen=True, gc=False):
    """Sends FIN, as shutdown(2) with SHUT_WR does; the peer may go on sending."""


class Close(Ending, frozen=True, gc=False):
    """Closes the connection as close(2) does."""


class Reset(Ending, frozen=True, gc=False):
    """Sends RST."""


class Refuse(Effect, frozen=True, gc=False):
    """Resets a client as soon as it is accepted."""


class AcceptDelay(Effect, frozen=True, gc=False):
    """Accepts one client at a time, after ``delay`` in the backlog."""

    delay: float


class NeverAccept(Effect, frozen=True, gc=False):
    """Leaves clients in the backlog."""


class FaultSpec(msgspec.Struct, frozen=True, gc=False):
    """One fault as requested with ``--fault``."""

    kind: str  # a key of KINDS
    text: str  # as it was written
    effect: Effect
    window: Window
    selector: Selector

    @property
    def is_random(self) -> bool:
        """Whether the selector or the effect draws random numbers."""
        return self.selector.p < 1 or self.effect.is_random


class Kind(NamedTuple):
    """Words that a kind of fault takes."""

    effect: type[Effect]
    example: str
    argument: str | None = None  # the field of the effect that stands after the kind
    clauses: tuple[str, ...] = ()  # words with a value: fields of the effect and of the window
    directions: tuple[Direction, ...] = ()  # where none is given; empty: the kind takes no direction
    selectable: bool = True  # whether some connections may have it and others not


LASTING: Final = ("at", "after", "for")
ONCE: Final = ("at", "after")

KINDS: Final[dict[str, Kind]] = {
    "drop": Kind(Drop, "drop after 2s", None, LASTING, ("in",)),
    "corrupt": Kind(Corrupt, "corrupt 0.01", "probability", LASTING, BOTH),
    "latency": Kind(Latency, "latency 200ms jitter 50ms", "delay", ("jitter", *LASTING), BOTH),
    "rate": Kind(Rate, "rate 10k/s", "bytes_per_s", LASTING, BOTH),
    "slice": Kind(Slice, "slice 1..20 gap 5ms", "sizes", ("gap", *LASTING), BOTH),
    "stall": Kind(Stall, "stall at 1k for 5s", None, LASTING, ("in",)),
    "limit": Kind(Limit, "limit 10k", "max_bytes", (), BOTH),
    "half-close": Kind(ShutdownWrite, "half-close after 1s", None, ONCE, BOTH),
    "close": Kind(Close, "close at 1k", None, ONCE, BOTH),
    "reset": Kind(Reset, "reset at 100", None, ONCE, BOTH),
    "refuse": Kind(Refuse, "refuse p=0.1"),
    "accept-delay": Kind(AcceptDelay, "accept-delay 2s", "delay", selectable=False),
    "never-accept": Kind(NeverAccept, "never-accept after 10s for 5s", None, ("after", "for"), selectable=False),
}
"""In the order in which the kinds act on what passes, whatever the order of the options."""
