"""What a scripted peer expects and answers, as values; ``player`` plays them."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypeVar, cast, overload

from portside.errors import InvalidValue
from portside.settings.faults import parse_fault
from portside.testing.literals import describe
from portside.units import parse_duration
from portside.wire.faults.model import FaultSpec
from portside.wire.frame import Frame, parse_frame

if TYPE_CHECKING:
    from portside.api.options import Duration

Got = TypeVar("Got", bytes, re.Match[bytes])
"""What a reply is made from: the bytes that were expected, or the match of a regular expression."""

Fault = str | FaultSpec
_HERE = os.path.dirname(__file__)


class Action(NamedTuple):
    """One step of a reaction; ``value`` is bytes or a function (reply), seconds (delay) or a fault."""

    kind: Literal["reply", "delay", "half_close", "close", "reset", "fault"]
    value: Any = None


def as_bytes(data: object) -> bytes:
    """Bytes, or text in UTF-8. Raises TypeError for anything else."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"bytes or text is needed, not {type(data).__name__}")


def as_fault(fault: Fault) -> FaultSpec:
    """A fault from its text. Raises ValueError, which says what is wrong."""
    __tracebackhide__ = True
    if isinstance(fault, FaultSpec):
        return fault
    try:
        return parse_fault(fault)
    except InvalidValue as problem:
        raise ValueError(str(problem)) from None


class Reaction(Generic[Got]):
    """The steps of a scripted peer when its turn comes, in the order in which they were written.

    Example::

        tcp_server.greet(b"220 ready\\r\\n").delay("50ms").close()
    """

    def __init__(self) -> None:
        """For Portside itself."""
        self.actions: list[Action] = []

    def reply(self, data: bytes | str | Callable[[Got], bytes]) -> Self:
        """Send bytes, text (in UTF-8), or what a function makes of the message: its bytes, or the match of a pattern.

        The function is called on the server's thread and must not wait. What it raises fails the test.

        Example::

            tcp_server.expect(re.compile(rb"ADD (\\d+)\\n")).reply(lambda match: b"OK %s\\n" % match[1])
        """
        self.actions.append(Action("reply", data if callable(data) else as_bytes(data)))
        return self

    def delay(self, duration: "Duration") -> Self:
        """Wait before the next step: seconds, or text such as ``"50ms"``. What comes meanwhile waits too.

        Example::

            tcp_server.expect(b"PING\\n").delay("200ms").reply(b"PONG\\n")
        """
        self.actions.append(Action("delay", parse_duration(str(duration))))
        return self

    def half_close(self) -> Self:
        """Send FIN, and go on with the script: the client may still send.

        Example::

            tcp_server.expect(b"GET\\n").reply(b"all of it").half_close()
        """
        return self._add("half_close")

    def close(self) -> Self:
        """Close, as close(2) does: FIN now, and RST for whatever the client sends after that.

        Example::

            tcp_server.expect(b"QUIT\\r\\n").reply(b"221 bye\\r\\n").close()
        """
        return self._add("close")

    def reset(self) -> Self:
        """Send RST: what is on its way is lost.

        Example::

            tcp_server.expect(b"PING\\n").reset()
        """
        return self._add("reset")

    def fault(self, fault: Fault) -> Self:
        """Put a fault on the connection, from here on: its text as for ``--fault``, or a value of ``testing.faults``.

        Example::

            tcp_server.expect(b"GET\\n").fault("rate 10k/s").reply(b"x" * 50_000)
        """
        __tracebackhide__ = True
        self.actions.append(Action("fault", as_fault(fault)))
        return self

    def _add(self, kind: Literal["half_close", "close", "reset"]) -> Self:
        self.actions.append(Action(kind))
        return self


class Expectation(Reaction[Got]):
    """Something that a client is expected to send, and what it gets back.

    ``pattern`` is None for the client's FIN; ``place`` is where in the tests it was written.
    """

    def __init__(self, pattern: "bytes | re.Pattern[bytes] | None", frame: Frame | None, times: int) -> None:
        """For Portside itself."""
        super().__init__()
        self.pattern = pattern
        self.frame = frame
        self.times = times
        self.place = _caller()

    def __repr__(self) -> str:
        return f"<portside.testing.Expectation {describe(self.pattern)} at {self.place}>"


class Group(NamedTuple):
    """Expectations that come in any order, before those of the next group; mostly there is one alone."""

    expectations: list[Expectation[Any]]
    is_open: bool = False  # whether ``any_order=True`` adds to it


class ScriptWriter:
    """The methods that write a script, of the script itself and of the server whose first connection plays it."""

    @property
    def _script(self) -> "Script":
        raise NotImplementedError

    def greet(self, data: bytes | str = b"") -> Reaction[bytes]:
        """Send something as soon as the client is connected; a second greeting follows the first.

        Example::

            tcp_server.greet(b"220 ready\\r\\n")
        """
        greeting = self._script.greeting
        if data:
            greeting.reply(data)
        return greeting

    @overload
    def expect(
        self, pattern: bytes | str, *, frame: str | None = None, times: int = 1, any_order: bool = False
    ) -> Expectation[bytes]: ...
    @overload
    def expect(
        self, pattern: re.Pattern[bytes], *, frame: str | None = None, times: int = 1, any_order: bool = False
    ) -> Expectation[re.Match[bytes]]: ...
    def expect(
        self,
        pattern: bytes | str | re.Pattern[bytes],
        *,
        frame: str | None = None,
        times: int = 1,
        any_order: bool = False,
    ) -> Expectation[Any]:
        """Expect the client to send exactly these bytes (text in UTF-8), or what a regular expression matches.

        Expectations come in the order in which they are written, those beside each other with ``any_order`` in any
        order. ``times`` is how often it must come. Without ``frame`` the stream is compared wherever the client has cut
        it; an expression matches from where the last expectation ended. With ``frame``, written as for ``--frame``
        (``lines``, ``delim:HEX``, ``fixed:N``, ``length:u16be`` …), whole messages are compared, with their length or
        delimiter; an expression must match at the beginning of the message. Raises ValueError for any other framing.

        Example::

            tcp_server.expect(re.compile(rb"HELO (.*)\\r\\n")).reply(lambda match: b"250 hello %s\\r\\n" % match[1])
        """
        __tracebackhide__ = True
        made = self._script.make(pattern, frame, times)
        self._script.add(made, any_order=any_order)
        return made

    def expect_fin(self) -> Expectation[bytes]:
        """Expect the client to send FIN: it half-closes its side, or closes.

        Example::

            tcp_server.expect_fin().reply(b"all received\\n").close()
        """
        made = Expectation[bytes](None, None, 1)
        self._script.add(made)
        return made

    @overload
    def always(self, pattern: bytes | str, *, frame: str | None = None) -> Expectation[bytes]: ...
    @overload
    def always(self, pattern: re.Pattern[bytes], *, frame: str | None = None) -> Expectation[re.Match[bytes]]: ...
    def always(self, pattern: bytes | str | re.Pattern[bytes], *, frame: str | None = None) -> Expectation[Any]:
        """Answer something as often as it comes, at any time; it need not come. What is expected goes first.

        Example::

            tcp_server.always(b"PING\\r\\n").reply(b"PONG\\r\\n")
        """
        __tracebackhide__ = True
        made = self._script.make(pattern, frame, sys.maxsize)
        self._script.standing.append(made)
        return made

    @contextmanager
    def any_order(self) -> "Iterator[Script]":
        """Expect what is written in the ``with`` in any order, all of it before what is written after it.

        Example::

            with tcp_server.any_order():
                tcp_server.expect(b"A\\n")
                tcp_server.expect(b"B\\n")
        """
        script = self._script
        script.begin_block()
        try:
            yield script
        finally:
            script.end_block()


class Script(ScriptWriter):
    """The script of one connection: what is expected, in order, and what is answered."""

    def __init__(self, frame: Frame | None = None) -> None:
        """For Portside itself. ``frame`` is for expectations that say nothing about that."""
        self.greeting: Reaction[bytes] = Reaction()
        self.groups: list[Group] = []
        self.standing: list[Expectation[Any]] = []
        self._frame = frame
        self._block: Group | None = None  # of any_order(), while it is entered

    @property
    def _script(self) -> "Script":
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to come."""
        return not any(group.expectations for group in self.groups)

    def add(self, made: Expectation[Any], *, any_order: bool = False) -> None:
        """For Portside itself: expect something after all that is expected so far, or beside the last of it."""
        if self._block is not None:
            self._block.expectations.append(made)
        elif any_order:
            if not (self.groups and self.groups[-1].is_open):
                self.groups.append(Group([], is_open=True))
            self.groups[-1].expectations.append(made)
        else:
            self.groups.append(Group([made]))

    def begin_block(self) -> None:
        """For Portside itself: what is added from now on may come in any order."""
        if self._block is not None:
            raise RuntimeError("any_order() is entered already")
        self._block = Group([])
        self.groups.append(self._block)

    def end_block(self) -> None:
        """For Portside itself: what is added from now on comes after that."""
        self._block = None

    def make(self, pattern: object, frame: str | None, times: int) -> Expectation[Any]:
        """For Portside itself: an expectation that is nowhere yet."""
        __tracebackhide__ = True
        if isinstance(pattern, re.Pattern):
            if not isinstance(pattern.pattern, bytes):
                raise TypeError("what comes is bytes: write the expression as re.compile(rb'…')")
        else:
            pattern = as_bytes(pattern)
            if not pattern:
                raise ValueError("an empty pattern would match anything: expect_fin() expects the end")
        if times < 1:
            raise ValueError(f"times must be at least 1, and is {times}")
        try:
            framing = self._frame if frame is None else parse_frame(frame)
        except InvalidValue as problem:
            raise ValueError(str(problem)) from None
        return Expectation(cast("bytes | re.Pattern[bytes]", pattern), framing, times)


class Scripts:
    """The scripts of a server: those of connections by number, and that of every other one."""

    def __init__(self, frame: Frame | None = None) -> None:
        self._frame = frame
        self.first = Script(frame)
        self.numbered: dict[int, Script] = {1: self.first}
        self.every: Script | None = None

    def of(self, number: int) -> Script | None:
        """The script of a connection; None where it is one too many."""
        found = self.numbered.get(number)
        if self.every is not None and (found is None or (found is self.first and not _says(found))):
            return self.every
        return found

    def numbered_one(self, number: int) -> Script:
        """The script of the connection of a number, made when it is first asked for; those before it may come too."""
        if number < 1:
            raise ValueError(f"connections count from 1, and this is {number}")
        for each in range(1, number + 1):
            self.numbered.setdefault(each, Script(self._frame))
        return self.numbered[number]

    def for_every(self) -> Script:
        """The script of every connection that has none of its own."""
        if self.every is None:
            self.every = Script(self._frame)
        return self.every


def _says(script: Script) -> bool:
    return bool(script.groups or script.standing or script.greeting.actions)


def _caller() -> str:
    """The line of the tests that is running: file and number."""
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings and logging find their callers
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == _HERE:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
