"""The states of a slot's whole life.

state        entered when                                          next
WAITING      made; a connection has ended                          CONNECTING
CONNECTING   connect(2) was called                                 OPEN, WAITING (failed)
OPEN         connected, with TLS: the handshake is done            GREETING, CLOSING, WAITING
GREETING     it might send, but the server speaks first            OPEN, CLOSING, WAITING
             and has said nothing yet
CLOSING      its messages or its lifetime are over: FIN was sent   WAITING
ENDED        the run is over                                       none
"""

import enum
from typing import Protocol


class SlotState(enum.Enum):
    """The state of a slot; the module docstring has the table of transitions."""

    WAITING = enum.auto()
    CONNECTING = enum.auto()
    OPEN = enum.auto()
    GREETING = enum.auto()
    CLOSING = enum.auto()
    ENDED = enum.auto()


class Timed(Protocol):
    """A slot whose time in a state is limited."""

    def is_in(self, generation: int, state: SlotState) -> bool:
        """Whether it still has the connection, and is in the state, that a limit is for."""

    def time_out(self) -> None:
        """End the connection."""
