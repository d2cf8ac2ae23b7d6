"""A conversation as it should be, compared with what the rules say; ``portside rules test``.

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

Text has the escapes of ``units.parse_text``. Delays of answers are not waited for. What the server sends between two
things that the client does is compared as one stream, so it does not matter how its answers are divided.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.units import parse_duration, parse_text
from portside.wire.escaping import escape
from portside.wire.frame import Frame
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.patterns import Pattern, regex
from portside.wire.rules.ruleset import ENDS, InvalidRules
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


class Difference(NamedTuple):
    """The first thing that is otherwise: in which line of the transcript, and how."""

    line: int
    words: str
    hint: str


class TranscriptResult(NamedTuple):
    """How often the client sent something, how many rules applied, and what was otherwise."""

    sent: int
    actions: int
    difference: Difference | None


def read_transcript(text: str, name: str, frame: Frame) -> list[Step]:
    """The steps of a transcript. Raises InvalidRules."""
    steps = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            try:
                steps.append(_step(number, line, b"\n" if frame.kind == "lines" else b""))
            except InvalidValue as problem:
                raise InvalidRules(f"{name}:{number}:1", str(problem), "see docs/rules.md") from None
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
    """Hold the conversation at a time (ns since 1970) until something is otherwise."""
    stand_in = _Server(rules, frame, max_frame, at)
    sent = 0
    for step in steps:
        if step.kind.startswith("<"):
            words = stand_in.expect(step)
        else:
            words = stand_in.leftover()
            if words is None:
                sent += step.kind == ">"
                words = stand_in.happens(step)
        if words is not None:
            return TranscriptResult(sent, stand_in.actions, Difference(step.line, words, stand_in.where))
    if (words := stand_in.leftover()) is not None:
        line = steps[-1].line if steps else 0
        return TranscriptResult(sent, stand_in.actions, Difference(line, f"after it, {words}", stand_in.where))
    return TranscriptResult(sent, stand_in.actions, None)


class _Server:
    """What a client would see of ``--rules``, without sockets and without waiting."""

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
        self._said = b""
        self._end: str | None = None
        self._last: Action | None = None
        self._take(self._session.on_connect(self._now))

    @property
    def where(self) -> str:
        """Where the conversation stands, for who looks for the reason."""
        last = "no rule has applied"
        if self._last is not None:
            last = f"the last rule that applied is {self._last.rule}, line {self._last.rule.position.line}"
        return f"the state is {self._session.state!r}; {last}"

    # What the client does.

    def happens(self, step: Step) -> str | None:
        """Do it; what is wrong with it."""
        if step.words == "connect":
            self._connect()
            return None
        if self._end in ("close", "reset"):
            return f"the server has ended the conversation ({self._end}) before"
        if step.kind == ">":
            self._session.on_data(self._now)
            self._hear(self._reader.feed(step.data, self._now))
        elif step.words == "close":
            self._hear(self._reader.finish())
            if self._end not in ("close", "reset"):
                self._take(self._session.on_half_close(self._now))
                self._end = self._end or "close"
        else:
            self._wait(parse_duration(step.words[5:]))
        return None

    def _wait(self, duration: float) -> None:
        end = self._now + duration
        while self._end not in ("close", "reset"):
            framed = self._reader.deadline
            due = min(self._session.silence_deadline, end if framed is None else framed)
            if due > end:
                break
            self._now = due
            messages, action = self._reader.expire(due), self._session.on_silence(due)
            self._hear(messages)
            self._take(action)
            if not messages and action is None:
                break
        self._now = end

    def _hear(self, messages: list[bytes]) -> None:
        for message in messages:
            if self._end in ("close", "reset"):
                return
            self._take(self._session.on_message(message, self._now))

    def _take(self, action: Action | None) -> None:
        if action is None:
            return
        self.actions += 1
        self._last = action
        if self._end is None:
            at = self._at + round(self._now * 1e9)
            self._said += b"".join(action.render(answer, at) for answer in action.rule.answers)
        self._end = action.rule.end or self._end

    # What it should see.

    def expect(self, step: Step) -> str | None:
        """Take what is expected off what was said; what is otherwise."""
        if step.kind == "<!":
            if self._said:
                return f"expected the end ({step.words}), and the server says {_shown(self._said)}"
            if self._end != step.words:
                return f"expected the end ({step.words}), and there is {self._end or 'none'}"
            return None
        if step.pattern is not None:
            line, _, rest = self._said.partition(b"\n")
            whole = line.removesuffix(b"\r")
            found = step.pattern.compiled.fullmatch(whole)
            if found is None:
                return f"expected a line like {escape(step.pattern.source[3:-1])}, got {_shown(whole)}"
            self._said = rest
            return None
        if not self._said.startswith(step.data):
            return f"expected {_shown(step.data)}, got {_shown(self._said)}"
        self._said = self._said[len(step.data) :]
        return None

    def leftover(self) -> str | None:
        """What the server says that was not expected."""
        return f"the server says {_shown(self._said)}, which is not expected" if self._said else None


def _shown(data: bytes) -> str:
    if not data:
        return "nothing"
    return f"'{escape(data[:SHOWN])}'" + ("…" if len(data) > SHOWN else "")


def result_lines(verdict: TranscriptResult, name: str) -> Iterator[str]:
    """A verdict for people."""
    if verdict.difference is None:
        yield f"{name}: as expected: the client sent {verdict.sent} times, {verdict.actions} rules applied"
    else:
        yield f"{name}:{verdict.difference.line}: {verdict.difference.words}"
        yield f"hint: {verdict.difference.hint}"
