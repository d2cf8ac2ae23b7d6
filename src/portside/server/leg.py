"""Flow control of one leg: a socket that is read and written through a transport.

The leg to a client (``Connection``) and the leg of ``--forward`` to its target (``Upstream``) follow the same rules:

1. A leg is read while no ``Hold`` is set. Each is set and cleared on its own; while one is set, what the peer sends
   waits in the kernel, and then on the peer's own side.
2. A leg is ``write_paused`` from the transport's ``pause_writing`` to its ``resume_writing``: more bytes are buffered
   than the transport's high-water mark. Code that writes to the leg has to stop then: nothing else bounds the buffer.
3. ``buffered_bytes`` are still in this process; ``outstanding_bytes`` include those which the kernel has taken and the
   peer has not acknowledged. A peer that reads makes the latter fewer, whatever the size of the kernel's buffer.
4. An abortive close sends RST: what is buffered, here and in the kernel of either side, is lost.
"""

import enum
from typing import TYPE_CHECKING

from portside.sockopts import seconds_since_ack, set_abortive_close, unacknowledged, was_probed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Hold(enum.Flag):
    """Reasons for which a leg is not read."""

    FEED = enum.auto()  # events cannot be written as fast as they come
    FLOW = enum.auto()  # what the leg brings has nowhere to go
    FAULT = enum.auto()  # a fault keeps bytes back
    OPERATOR = enum.auto()  # somebody asked for it


class Leg:
    """Flow control of one transport; a base of the protocol that uses the transport, or a part of it."""

    __slots__ = ("_holds", "_transport", "eof_sent", "half_closed", "write_paused")

    def __init__(self) -> None:
        self.half_closed = False  # the peer sent FIN
        self.eof_sent = False  # our FIN is sent, or follows what is buffered
        self.write_paused = False
        self._transport: asyncio.Transport | None = None  # None before connection_made and after connection_lost
        self._holds = 0  # values of Hold, as a plain number: operations on a Flag cost a microsecond

    def attach(self, transport: "asyncio.Transport") -> None:
        """Control this transport from now on; for connection_made."""
        self._transport = transport
        if self._holds:
            transport.pause_reading()

    def insert(self, make: "Callable[[asyncio.Transport], asyncio.Transport]") -> None:
        """Put something between this leg and its transport: what ``make`` returns is the leg's transport from now on.

        Only while the leg is open. What was put there is in the state of the transport: paused where that is.
        """
        if self._transport is None:
            raise RuntimeError("the leg has no transport")
        self._transport = make(self._transport)

    @property
    def is_open(self) -> bool:
        """Whether there is a transport: not before the connection is made, nor after it is lost."""
        return self._transport is not None

    @property
    def fd(self) -> int:
        """The socket's descriptor, for its options alone; -1 where there is no transport."""
        fd: int = self._transport.get_extra_info("fd", -1) if self._transport is not None else -1
        return fd

    @property
    def is_closing(self) -> bool:
        """Whether this side has begun to close the leg, or there is no transport."""
        return self._transport is None or self._transport.is_closing()

    @property
    def read_paused(self) -> bool:
        """Whether any hold is set."""
        return self._holds != 0

    @property
    def holds(self) -> Hold:
        """The reasons for which the leg is not read."""
        return Hold(self._holds)

    def pause_reading(self, hold: Hold) -> None:
        """Set a hold: the leg is not read until it, and every other, is cleared."""
        before, self._holds = self._holds, self._holds | hold._value_
        if not before and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self, hold: Hold) -> None:
        """Clear a hold, and read again where it was the last one."""
        before, self._holds = self._holds, self._holds & ~hold._value_
        transport = self._transport
        # After FIN there is nothing to read but that FIN again.
        if before and not self._holds and transport is not None and not self.half_closed and not transport.is_closing():
            transport.resume_reading()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait in this process for the peer to take them."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def outstanding_bytes(self) -> int:
        """Bytes that the peer has not acknowledged, in this process or in the kernel."""
        buffered, transport = self.buffered_bytes, self._transport
        if transport is None:
            return buffered
        try:
            return buffered + unacknowledged(self.fd)
        except OSError:
            return buffered  # the socket is being closed

    def seconds_since_ack(self) -> float:
        """Seconds since the peer's kernel last acknowledged something; 0 where that is not known."""
        try:
            return seconds_since_ack(self._transport.get_extra_info("socket")) if self._transport is not None else 0.0
        except OSError:
            return 0.0  # the socket is being closed

    @property
    def was_probed(self) -> bool:
        """Whether the kernel has sent a keepalive probe that the peer has not acknowledged."""
        try:
            return self._transport is not None and was_probed(self._transport.get_extra_info("socket"))
        except OSError:
            return False

    def abort_with_rst(self) -> None:
        """Close at once with RST; only drop what is buffered where the transport is closing already."""
        transport = self._transport
        if transport is not None:
            if not transport.is_closing():
                set_abortive_close(transport.get_extra_info("socket"))
            transport.abort()
