"""What a console may use of a run of ``listen``, and the interface of an extension to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from portside.feed.bus import EventBus
    from portside.server.admission import Admission
    from portside.server.behaviour import Behaviour
    from portside.server.listener import Listener
    from portside.server.server import Server
    from portside.settings.listen import Listen


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """The parts of one run, for an extension; all of them are used on the loop's thread alone.

    ``started_ns`` is when it started, by the wall clock, and ``started_at`` by ``time.monotonic``. ``drain`` takes the
    seconds that clients have to leave by themselves before the run ends, ``math.inf`` for as long as they like;
    ``stop`` ends it at once, in order.
    """

    loop: "asyncio.AbstractEventLoop"
    settings: "Listen"
    server: "Server"
    bus: "EventBus"
    listeners: "tuple[Listener, ...]"
    admission: "Admission"
    behaviour: "Behaviour"
    drain: Callable[[float], None]
    is_ending: Callable[[], bool]
    stop: Callable[[], None]
    started_ns: int = field(default_factory=time.time_ns)
    started_at: float = field(default_factory=time.monotonic)


class Extension(Protocol):
    """Something beside the server in the same loop: it is told when a run begins and when it ends."""

    def start(self, run: RunningServer) -> None:
        """Begin, before the server says that it listens. Raises nothing: the server runs without it."""

    async def stop(self) -> None:
        """End, after the last event of the run; what it waits for, the end of the run waits for."""
