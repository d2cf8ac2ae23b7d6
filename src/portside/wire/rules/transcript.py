"""An expected conversation, compared with the answers of the rules (``portside rules test``).

    # a comment, or nothing
    > HELLO             the client sends this text and, where messages are lines, a line feed
    >> HEL              the client sends just this
    >x 02 41 03         the client sends these bytes
    < READY             the answer, and the same of << and <x
    <~ \\d+ items        the next line of the answer is all of this expression (RE2)
    ! wait 5s           time passes
    ! close             the client sends FIN
    ! connect           another client comes, and the conversation begins anew
    <! close            the server closes; also half-close and reset

Text has the escapes of ``units.parse_text``. Delays of answers are skipped. What the server sends between two
things that the client does is compared as one stream, so it does not matter how its answers are divided.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.units import counted, parse_duration, parse_text
from portside.wire.escaping import escape
from portside.wire.frame import Frame
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.patterns import Pattern, regex
from portside.wire.rules.ruleset import ENDS, RulesError
from portside.wire.rules.session import Action, Client, CompiledRules, Session

PEER, LOCAL = "192.0.2.1:50000", "192.0.2.2:12345"  # RFC 5737: addresses for documentation
SHOWN = 200  # bytes of what differs
_LINE = re.compile(r"(>>|>x|>|<<|<x|<~|<!|<|!)(?: (.*))?", re.DOTALL)


class Step(NamedTuple):
    """A line of a transcript."""

    line: int
    kind: str  # how it is written: > < <~ ! <! (and > for >> and >x, < for << and <x)
    data: bytes = b""
    words: str = ""
    pattern: Pattern | None = None


class Mismatch(NamedTuple):
    """The first difference: the line of the transcript, and what differs."""

    line: int
    words: str
    hint: str


class TranscriptResult(NamedTuple):
    """How often the client sent something, how many rules applied, and the first difference if there is one."""

    sent: int
    actions: int
    difference: Mismatch | None


def read_transcript(text: str, name: str, frame: Frame) -> list[Step]:
    """The steps of a transcript. Raises RulesError."""
    steps = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            try:
                steps.append(_step(number, line, b"\n" if frame.kind == "lines" else b""))
            except InvalidValue as problem:
                raise RulesError(f"{name}:{number}:1", str(problem), "see `portside help rules`") from None
    return steps


def _step(number: int, line: str, end: bytes) -> Step:
    found = _LINE.fullmatch(line)
    if found is None:
        raise InvalidValue("a line begins with > >> >x < << <x <~ ! <! or #")
    kind, rest = found[1], found[2] or ""
    match kind:
        case ">" | "<":
            return Step(number, kind, parse_text(rest) + end)
        case ">>" | "<<":
            return Step(number, kind[0], parse_text(rest))
        case ">x" | "<x":
            try:
                return Step(number, kind[0], bytes.fromhex(rest))
            except ValueError:
                raise InvalidValue(f"no hex: {rest!r}") from None
        case "<~":
            return Step(number, kind, pattern=regex(f"(?:{rest})"))
        case "<!":
            if rest not in ENDS:
                raise InvalidValue(f"{rest!r} is no end: there are {', '.join(ENDS)}")
            return Step(number, kind, words=rest)
    if rest.startswith("wait "):
        parse_duration(rest[5:])
    elif rest not in ("close", "connect"):
        raise InvalidValue(f"{rest!r} is nothing that happens: there are wait DURATION, close, connect")
    return Step(number, kind, words=rest)


def run_transcript(rules: CompiledRules, steps: list[Step], frame: Frame, max_frame: int, at: int) -> TranscriptResult:
    """Play the conversation, begun at ``at`` (ns since 1970), up to the first difference."""
    server = _SimulatedServer(rules, frame, max_frame, at)
    sent = 0
    for step in steps:
        if step.kind.startswith("<"):
            words = server.expect(step)
        else:
            words = server.leftover()
            if words is None:
                sent += step.kind == ">"
                words = server.perform(step)
        if words is not None:
            return TranscriptResult(sent, server.actions, Mismatch(step.line, words, server.position))
    if (words := server.leftover()) is not None:
        line = steps[-1].line if steps else 0
        return TranscriptResult(sent, server.actions, Mismatch(line, f"after it, {words}", server.position))
    return TranscriptResult(sent, server.actions, None)


class _SimulatedServer:
    """A server with ``--rules`` as a client sees it, without sockets and without waiting.

    The class has more than 12 attributes: four that make a session, and the state of the one that is being played.
    """

    def __init__(self, rules: CompiledRules, frame: Frame, max_frame: int, at: int) -> None:
        self.actions = 0
        self._rules = rules
        self._frame = frame
        self._max_frame = max_frame
        self._at = at
        self._now = 0.0
        self._random = Random()  # noqa: S311 - as in behaviours.rules
        self._client = 0
        self._connect()

    def _connect(self) -> None:
        self._client += 1
        self._session = Session(self._rules, Client(PEER, LOCAL, self._client), self._random, self._now)
        self._reader = MessageReader(self._frame, self._max_frame)
        self._answered = b""
        self._end: str | None = None
        self._last: Action | None = None
        self._apply(self._session.on_connect(self._now))

    @property
    def position(self) -> str:
        """The state of the conversation and the last rule that applied, in words."""
        last = "no rule has applied"
        if self._last is not None:
            last = f"the last rule that applied is {self._last.rule}, line {self._last.rule.position.line}"
        return f"the state is {self._session.state!r}; {last}"

    # What the client does.

    def perform(self, step: Step) -> str | None:
        """Perform a step of the client; why it cannot be performed, or None."""
        if step.words == "connect":
            self._connect()
            return None
        if self._end in ("close", "reset"):
            return f"the server has ended the conversation ({self._end}) before"
        if step.kind == ">":
            self._session.on_received(self._now)
            self._messages(self._reader.feed(step.data, self._now))
        elif step.words == "close":
            self._messages(self._reader.finish())
            if self._end not in ("close", "reset"):
                self._apply(self._session.on_half_close(self._now))
                self._end = self._end or "close"
        else:
            self._wait(parse_duration(step.words[5:]))
        return None

    def _wait(self, duration: float) -> None:
        end = self._now + duration
        while self._end not in ("close", "reset"):
            framed = self._reader.deadline
            deadline = min(self._session.deadline, end if framed is None else framed)
            if deadline > end:
                break
            self._now = deadline
            messages, action = self._reader.expire(deadline), self._session.on_silence(deadline)
            self._messages(messages)
            self._apply(action)
            if not messages and action is None:
                break
        self._now = end

    def _messages(self, messages: list[bytes]) -> None:
        for message in messages:
            if self._end in ("close", "reset"):
                return
            self._apply(self._session.on_message(message, self._now))

    def _apply(self, action: Action | None) -> None:
        if action is None:
            return
        self.actions += 1
        self._last = action
        if self._end is None:
            at = self._at + round(self._now * 1e9)
            self._answered += b"".join(action.render(answer, at) for answer in action.rule.answers)
        self._end = action.rule.end or self._end

    # Expectations.

    def expect(self, step: Step) -> str | None:
        """Compare a step of the server with what was sent; the difference, or None."""
        if step.kind == "<!":
            if self._answered:
                return f"expected the end ({step.words}), and the server says {_shown(self._answered)}"
            if self._end != step.words:
                return f"expected the end ({step.words}), and there is {self._end or 'none'}"
            return None
        if step.pattern is not None:
            line, _, rest = self._answered.partition(b"\n")
            whole = line.removesuffix(b"\r")
            found = step.pattern.compiled.fullmatch(whole)
            if found is None:
                return f"expected a line like {escape(step.pattern.source[3:-1])}, got {_shown(whole)}"
            self._answered = rest
            return None
        if not self._answered.startswith(step.data):
            return f"expected {_shown(step.data)}, got {_shown(self._answered)}"
        self._answered = self._answered[len(step.data) :]
        return None

    def leftover(self) -> str | None:
        """Describe bytes of the server that the transcript does not expect; None where there are none."""
        return f"the server says {_shown(self._answered)}, which is not expected" if self._answered else None


def _shown(data: bytes) -> str:
    if not data:
        return "nothing"
    return f"'{escape(data[:SHOWN])}'" + ("…" if len(data) > SHOWN else "")


def result_lines(result: TranscriptResult, name: str) -> Iterator[str]:
    """The result of a transcript as lines of text; ``name`` is the transcript's file."""
    if result.difference is None:
        sent, applied = counted(result.sent, "time"), counted(result.actions, "rule")
        yield f"{name}: as expected: the client sent {sent}, {applied} applied"
    else:
        yield f"{name}:{result.difference.line}: {result.difference.words}"
        yield f"hint: {result.difference.hint}"
