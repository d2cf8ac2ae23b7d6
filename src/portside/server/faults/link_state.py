"""States of a faulty link and of its two directions: every legal transition, and who causes it.

A link has three state machines: its life (``LinkState``) and one ``StreamState`` for each direction. They move apart
from one another, but for these rules:

1. Once the link has left ``CONNECTING`` and ``OPEN``, nothing comes in: the direction in is ``DISCARDED``.
2. ``CLOSING`` lets the direction out come to ``EOF_PASSED``; ``RESETTING``, ``RESET`` and the end do not.
3. Bytes that are written while the direction out is not ``OPEN`` are counted as lost.

``advance`` is the only way from one state to another; it raises RuntimeError for a transition that is not listed.
"""

import enum
from typing import Final, TypeVar


class LinkState(enum.Enum):
    """The life of a link."""

    CONNECTING = enum.auto()  # until the protocol has returned from connection_made: reports wait for that
    OPEN = enum.auto()
    CLOSING = enum.auto()  # closed or aborted by this side; a close lets out what is on its way
    RESETTING = enum.auto()  # a fault resets as soon as the peer has acknowledged what was sent
    RESET = enum.auto()  # a fault has asked for RST
    LOST = enum.auto()  # the transport is gone
    LOST_BY_RESET = enum.auto()  # the transport is gone, by the RST of a fault


class StreamState(enum.Enum):
    """One direction of a link."""

    OPEN = enum.auto()
    EOF_PENDING = enum.auto()  # the end of the stream has come and follows the bytes that are on their way
    EOF_PASSED = enum.auto()  # in: the protocol has got it; out: FIN is written
    DISCARDED = enum.auto()  # what was on its way is lost, and what still comes is dropped


TRANSITIONS: Final[dict[tuple[LinkState | StreamState, LinkState | StreamState], str]] = {
    (LinkState.CONNECTING, LinkState.OPEN): "the protocol has returned from connection_made",
    (LinkState.CONNECTING, LinkState.CLOSING): "close or abort by the protocol, or a fault, in connection_made",
    (LinkState.CONNECTING, LinkState.RESETTING): "the fault 'reset at' counts bytes written in connection_made",
    (LinkState.CONNECTING, LinkState.LOST): "connection_lost: the protocol failed in connection_made",
    (LinkState.OPEN, LinkState.CLOSING): "close or abort by the protocol, or by the faults close and limit",
    (LinkState.OPEN, LinkState.RESETTING): "the fault 'reset at'",
    (LinkState.OPEN, LinkState.RESET): "the fault 'reset' in time",
    (LinkState.OPEN, LinkState.LOST): "connection_lost: the peer, or an error",
    (LinkState.CLOSING, LinkState.LOST): "connection_lost",
    (LinkState.RESETTING, LinkState.RESET): "the peer has acknowledged everything, or took too long",
    (LinkState.RESETTING, LinkState.LOST): "connection_lost: the peer, an error, or an abort by the protocol",
    (LinkState.RESET, LinkState.LOST_BY_RESET): "connection_lost",
    (StreamState.OPEN, StreamState.EOF_PENDING): "in: FIN; out: write_eof or close, by the protocol or a fault",
    (StreamState.OPEN, StreamState.DISCARDED): "close (in), abort, reset, a fault that ends it, shutdown, the end",
    (StreamState.EOF_PENDING, StreamState.EOF_PASSED): "the last byte on its way has passed",
    (StreamState.EOF_PENDING, StreamState.DISCARDED): "as from OPEN",
    (StreamState.EOF_PASSED, StreamState.DISCARDED): "as from OPEN",
}

_State = TypeVar("_State", LinkState, StreamState)


def advance(state: _State, to: _State) -> _State:
    """The state that follows. Raises RuntimeError where TRANSITIONS does not list the transition."""
    if (state, to) not in TRANSITIONS:
        raise RuntimeError(f"a faulty link cannot go from {state} to {to}")
    return to
