"""Where one conversation stands, and what happens next in it.

The caller tells what the client did, with the time, and gets a ``Turn``: the rule that applies and all that is known.
It sends the turn's answers, each after its delay, before it tells what the client did next.
"""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from portside.wire.rules.language import Answer, Book, Rule
from portside.wire.rules.matching import Matcher
from portside.wire.rules.template import Facts, Groups


class Stage:
    """The rules of one state, sorted by what they wait for."""

    __slots__ = ("connect", "half_close", "matcher", "name", "silences")

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self.matcher = Matcher(rules)
        self.connect = next((rule for rule in rules if rule.when == "connect"), None)
        self.half_close = next((rule for rule in rules if rule.when == "half-close"), None)
        self.silences = tuple(rule for rule in rules if rule.when == "silence")


class Play:
    """A book, ready to be played with any number of clients."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.stages = {state: Stage(state, book.of_state(state)) for state in book.states}
        self.start = self.stages[book.start]


class Turn(msgspec.Struct, gc=False):
    """A rule that applies; ``facts.at`` is to be set to the moment in which something is sent."""

    rule: Rule
    facts: Facts

    def render(self, answer: Answer, at: int) -> bytes:
        """What to send; ``at`` is ns since 1970."""
        self.facts.at = at
        return answer.template.render(self.facts)


class Client(NamedTuple):
    """Who it is: its address, ours, and the connection's number."""

    peer: str
    local: str
    conn: int


class Dialogue:
    """One client's. ``now`` is in seconds, on any clock that does not go back."""

    __slots__ = (
        "_client",
        "_entered_at",
        "_fired",
        "_heard_at",
        "_play",
        "_random",
        "_stage",
        "count",
    )

    def __init__(self, play: Play, client: Client, random: Random, now: float) -> None:
        self.count = 0  # messages so far
        self._client = client
        self._random = random
        self._play = play
        self._stage = play.start
        self._heard_at = self._entered_at = now
        self._fired: dict[int, float] = {}  # of the silences of this state, by the rule's number: when it counted last

    @property
    def state(self) -> str:
        """The state it is in."""
        return self._stage.name

    def take_over(self, play: Play, now: float) -> None:
        """Go on with other rules, in the same state where they have it, otherwise from their start."""
        self._play = play
        same = play.stages.get(self._stage.name)
        self._stage = same or play.start
        self._fired.clear()
        if same is None:
            self._entered_at = now

    def connected(self, now: float) -> Turn | None:
        """The client is there."""
        return self._turn(self._stage.connect, now)

    def heard(self, now: float) -> None:
        """The client sent something, whether or not it is a whole message."""
        self._heard_at = now
        if self._fired:
            self._fired.clear()

    def message(self, message: bytes, now: float) -> Turn | None:
        """The client sent a message, here without the end of its frame."""
        self.count += 1
        stage = self._stage
        met = stage.matcher.find(message, self._know)
        if met is None:
            return None
        rule, groups = met
        turn = Turn(rule, self._know(groups, message))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return turn

    def half_closed(self, now: float) -> Turn | None:
        """The client will send no more."""
        return self._turn(self._stage.half_close, now)

    @property
    def due(self) -> float:
        """When ``silent`` should be called; infinite where no silence is waited for."""
        return min((self._due_of(rule) for rule in self._stage.silences), default=math.inf)

    def silent(self, now: float) -> Turn | None:
        """Time passed."""
        rule = min(self._stage.silences, key=self._due_of, default=None)
        if rule is None or self._due_of(rule) > now:
            return None
        self._fired[rule.number] = now
        return self._turn(rule, now)

    def _due_of(self, rule: Rule) -> float:
        fired = self._fired.get(rule.number)
        if fired is None:
            return max(self._heard_at, self._entered_at) + rule.silence
        return fired + rule.silence if rule.repeat else math.inf

    def _turn(self, rule: Rule | None, now: float) -> Turn | None:
        if rule is None:
            return None
        turn = Turn(rule, self._know((b"",), b""))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return turn

    def _enter(self, state: str, now: float) -> None:
        self._stage = self._play.stages[state]
        self._entered_at = now
        self._fired.clear()

    def _know(self, groups: Groups, message: bytes) -> Facts:
        peer, local, conn = self._client
        return Facts(groups, message, peer, local, conn, self.count, self._stage.name, 0, self._random)
