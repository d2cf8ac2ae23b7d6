"""What slots need of the worker that they belong to."""

import socket
from collections.abc import Callable
from random import Random
from typing import Protocol

from portside.load.timers import Timers
from portside.load.work import Work


class SlotOwner(Protocol):
    """The worker of some slots: its clock, its sockets and timers, and the counts of its run.

    ``may_send`` is how many messages may still be sent, ``outstanding`` how many have no answer yet, and ``behind`` how
    many are due and could not be sent. Where ``server_speaks_first``, a slot waits for that before it sends. A slot is
    known by its index. Times are nanoseconds of ``clock_ns``.
    """

    work: Work
    clock_ns: Callable[[], int]
    wall_ns: Callable[[], int]
    random: Random
    is_open_loop: bool
    is_sending: bool
    server_speaks_first: bool
    may_be_self_connected: bool
    timers: Timers
    connecting: int
    may_send: int
    outstanding: int
    behind: int
    sent: int
    bytes_sent: int
    bytes_received: int

    def watch(self, sock: socket.socket, handler: Callable[[int], None], events: int) -> None: ...

    def unwatch(self, sock: socket.socket) -> None: ...

    def forget(self, sock: socket.socket) -> None: ...

    def soon(self, call: Callable[[int], None]) -> None: ...

    def next_number(self) -> int: ...

    def due_of(self, index: int, message: int) -> int: ...

    def opened(self, index: int, now_ns: int) -> None: ...

    def ended(self, index: int, *, was_open: bool) -> None: ...

    def answered(self, latency_ns: int) -> None: ...

    def late(self, late_ns: int) -> None: ...

    def failed(self, kind: str, count: int) -> None: ...

    def note_kernel(self, sock: socket.socket) -> None: ...
