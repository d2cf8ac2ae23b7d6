"""Where one conversation stands, and what happens next in it.

The caller tells what the client did, with the time, and gets a ``Action``: the rule that applies and all that is known.
It sends the action's answers, each after its delay, before it tells what the client did next.
"""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from portside.wire.rules.matching import Matcher
from portside.wire.rules.ruleset import Answer, Rule, RuleSet
from portside.wire.rules.template import Context, Groups


class RuleState:
    """The rules of one state, sorted by what they wait for."""

    __slots__ = ("connect", "half_close", "matcher", "name", "silences")

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self.matcher = Matcher(rules)
        self.connect = next((rule for rule in rules if rule.when == "connect"), None)
        self.half_close = next((rule for rule in rules if rule.when == "half-close"), None)
        self.silences = tuple(rule for rule in rules if rule.when == "silence")


class CompiledRules:
    """A rule_set, ready to be played with any number of clients."""

    def __init__(self, rule_set: RuleSet) -> None:
        self.rule_set = rule_set
        self.states = {state: RuleState(state, rule_set.in_state(state)) for state in rule_set.states}
        self.start = self.states[rule_set.start]


class Action(msgspec.Struct, gc=False):
    """A rule that applies; ``context.at`` is to be set to the moment in which something is sent."""

    rule: Rule
    context: Context

    def render(self, answer: Answer, at: int) -> bytes:
        """What to send; ``at`` is ns since 1970."""
        self.context.at = at
        return answer.template.render(self.context)


class Client(NamedTuple):
    """Who it is: its address, ours, and the connection's number."""

    peer: str
    local: str
    conn: int


class Session:
    """One client's. ``now`` is in seconds, on any clock that does not go back."""

    __slots__ = (
        "_client",
        "_entered_at",
        "_fired",
        "_heard_at",
        "_random",
        "_rules",
        "_state",
        "count",
    )

    def __init__(self, rules: CompiledRules, client: Client, random: Random, now: float) -> None:
        self.count = 0  # messages so far
        self._client = client
        self._random = random
        self._rules = rules
        self._state = rules.start
        self._heard_at = self._entered_at = now
        self._fired: dict[int, float] = {}  # of the silences of this state, by the rule's number: when it counted last

    @property
    def state(self) -> str:
        """The state it is in."""
        return self._state.name

    def swap_rules(self, rules: CompiledRules, now: float) -> None:
        """Go on with other rules, in the same state where they have it, otherwise from their start."""
        self._rules = rules
        same = rules.states.get(self._state.name)
        self._state = same or rules.start
        self._fired.clear()
        if same is None:
            self._entered_at = now

    def on_connect(self, now: float) -> Action | None:
        """The client is there."""
        return self._apply(self._state.connect, now)

    def on_data(self, now: float) -> None:
        """The client sent something, whether or not it is a whole message."""
        self._heard_at = now
        if self._fired:
            self._fired.clear()

    def on_message(self, message: bytes, now: float) -> Action | None:
        """The client sent a message, here without the end of its frame."""
        self.count += 1
        state = self._state
        matched = state.matcher.find(message, self._make_context)
        if matched is None:
            return None
        rule, groups = matched
        action = Action(rule, self._make_context(groups, message))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return action

    def on_half_close(self, now: float) -> Action | None:
        """The client will send no more."""
        return self._apply(self._state.half_close, now)

    @property
    def silence_deadline(self) -> float:
        """When ``silent`` should be called; infinite where no silence is waited for."""
        return min((self._due_of(rule) for rule in self._state.silences), default=math.inf)

    def on_silence(self, now: float) -> Action | None:
        """Time passed."""
        rule = min(self._state.silences, key=self._due_of, default=None)
        if rule is None or self._due_of(rule) > now:
            return None
        self._fired[rule.number] = now
        return self._apply(rule, now)

    def _due_of(self, rule: Rule) -> float:
        fired = self._fired.get(rule.number)
        if fired is None:
            return max(self._heard_at, self._entered_at) + rule.silence
        return fired + rule.silence if rule.repeat else math.inf

    def _apply(self, rule: Rule | None, now: float) -> Action | None:
        if rule is None:
            return None
        action = Action(rule, self._make_context((b"",), b""))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return action

    def _enter(self, state: str, now: float) -> None:
        self._state = self._rules.states[state]
        self._entered_at = now
        self._fired.clear()

    def _make_context(self, groups: Groups, message: bytes) -> Context:
        peer, local, conn = self._client
        return Context(groups, message, peer, local, conn, self.count, self._state.name, 0, self._random)
