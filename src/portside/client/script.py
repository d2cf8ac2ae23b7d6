"""A recorded conversation as a script for ``client.replay``: the bytes to send, and the bytes to expect.

One side of the connection, the *recorder*, wrote the recording; ``peer`` in its events is the other side. As the
``client`` we play the peer: we send what was received, and expect what was sent. As the ``server``, we play the
recorder.

How each side ended the connection, by the recorded reason. An end whose cause is unknown or came from outside the
conversation (the server was stopped; a program did not read) is expected of neither side:

    reason           the recorder   the peer
    peer_closed      closed         closed (first)
    peer_reset       -              reset
    local_closed     closed         -
    local_reset      reset          -
    idle_timeout     closed         -
    any other, none  -              -
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec

from portside.events import Closed, Event, Gap, HalfClosed, Payload, Received, Sent

Role = Literal["client", "server"]
Ending = Literal["closed", "reset"]

_ENDINGS: dict[str, tuple[Ending | None, Ending | None]] = {
    "peer_closed": ("closed", "closed"),
    "peer_reset": (None, "reset"),
    "peer_vanished": (None, None),
    "local_closed": ("closed", None),
    "local_reset": ("reset", None),
    "idle_timeout": ("closed", None),
}


class Send(NamedTuple):
    """Bytes for us to send. ``at``, in each step, is the recorded time in ns since 1970."""

    at: int
    data: bytes


class Expect(NamedTuple):
    """A number of bytes that came from the other side."""

    at: int
    size: int


class HalfClose(NamedTuple):
    """The half-close of one side."""

    at: int
    ours: bool


class MissingData(NamedTuple):
    """A number of bytes for us to send that the recording does not hold."""

    at: int
    size: int


class ConnectionEnd(NamedTuple):
    """The end of the connection, and what each side did."""

    at: int
    ours: Ending | None
    theirs: Ending | None


Step = Send | Expect | HalfClose | MissingData | ConnectionEnd


class Script(NamedTuple):
    """A conversation as steps and answers, read independently: the other side may be gigabytes ahead of the steps.

    ``answers`` are the bytes of the other side, or how many where the recording has lost them; ``ours`` and ``theirs``
    are sums in bytes; ``began`` is the time (ns) from which pauses count, None for that of the first step.
    """

    steps: Iterator[Step]
    answers: Iterator[bytes | int]
    ours: int
    theirs: int
    began: int | None


def make_script(
    events: Callable[[], Iterator[Event]], role: Role, *, received: int, sent: int, began: int | None
) -> Script:
    """Make a script from the events of one connection, which are read twice.

    ``received`` and ``sent`` are the recorder's bytes up to the end. Bytes beyond these counts are left out: they came
    while the script was made or, of those sent, never left the recorder.
    """
    ours, theirs = (received, sent) if role == "client" else (sent, received)
    steps = _steps(_up_to(events(), received, sent), role)
    return Script(steps, _answers(_up_to(events(), received, sent), role), ours, theirs, began)


def _up_to(events: Iterator[Event], received: int, sent: int) -> Iterator[Event]:
    """Yield the events without the bytes beyond these counts."""
    left: dict[type, int] = {Received: received, Sent: sent}
    for event in events:
        if isinstance(event, Payload):
            room = left[type(event)]
            left[type(event)] = max(0, room - len(event.data))
            if len(event.data) > room:
                event = msgspec.structs.replace(event, data=event.data[:room])  # noqa: PLW2901
            if not event.data:
                continue
        elif isinstance(event, Gap):
            left[Received] = max(0, left[Received] - event.received)
            left[Sent] = max(0, left[Sent] - event.sent)
        yield event


def _steps(events: Iterator[Event], role: Role) -> Iterator[Step]:
    client = role == "client"
    ours = Received if client else Sent
    at, half_closed = 0, False
    for event in events:
        at = event.at
        if isinstance(event, Payload):
            yield Send(at, event.data) if type(event) is ours else Expect(at, len(event.data))
        elif isinstance(event, Gap):
            mine, other = (event.received, event.sent) if client else (event.sent, event.received)
            if other:
                yield Expect(at, other)
            if mine:
                yield MissingData(at, mine)
        elif isinstance(event, HalfClosed):
            half_closed = True
            yield HalfClose(at, client)
        elif isinstance(event, Closed):
            recorder, peer = _ENDINGS.get(event.reason, (None, None))
            if event.reason == "peer_closed" and not half_closed:  # the event is lost in a gap
                yield HalfClose(at, client)
            yield ConnectionEnd(at, peer, recorder) if client else ConnectionEnd(at, recorder, peer)
            return
    yield ConnectionEnd(at, None, None)


def _answers(events: Iterator[Event], role: Role) -> Iterator[bytes | int]:
    theirs = Sent if role == "client" else Received
    for event in events:
        if type(event) is theirs:
            yield event.data
        elif isinstance(event, Gap):
            size = event.sent if role == "client" else event.received
            if size:
                yield size
