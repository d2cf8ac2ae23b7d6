"""The state of one client's conversation with the rules, and its transitions.

The caller reports what the client did, with the time, and gets an ``Action``: the rule that applies and everything its
answers may refer to. The caller sends the answers of the action, each after its delay, before it reports the client's
next step.
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
    """The rules of one state, sorted by the kind of their condition."""

    __slots__ = ("connect", "half_close", "matcher", "name", "silences")

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self.matcher = Matcher(rules)
        self.connect = next((rule for rule in rules if rule.when == "connect"), None)
        self.half_close = next((rule for rule in rules if rule.when == "half-close"), None)
        self.silences = tuple(rule for rule in rules if rule.when == "silence")


class CompiledRules:
    """A rule set with its matchers built, ready for any number of clients."""

    def __init__(self, rule_set: RuleSet) -> None:
        self.rule_set = rule_set
        self.states = {state: RuleState(state, rule_set.of_state(state)) for state in rule_set.states}
        self.start = self.states[rule_set.start]


class Action(msgspec.Struct, gc=False):
    """A rule that applies, and the values that its answers may use."""

    rule: Rule
    context: Context

    def render(self, answer: Answer, at: int) -> bytes:
        """The bytes of an answer sent at ``at`` (ns since 1970)."""
        self.context.at = at
        return answer.template.render(self.context)


class Client(NamedTuple):
    """The client of a session: its address, ours, and the connection's number."""

    peer: str
    local: str
    conn: int


class Session:
    """One client's conversation. ``now`` is always seconds on a clock that never goes back."""

    __slots__ = (
        "_client",
        "_entered_at",
        "_fired",
        "_random",
        "_received_at",
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
        self._received_at = self._entered_at = now
        self._fired: dict[int, float] = {}  # silence rules of this state that have applied: rule number to time

    @property
    def state(self) -> str:
        """The name of the current state."""
        return self._state.name

    def swap_rules(self, rules: CompiledRules, now: float) -> None:
        """Continue with other rules: in the state of the same name where they have one, otherwise from their start."""
        self._rules = rules
        same = rules.states.get(self._state.name)
        self._state = same or rules.start
        self._fired.clear()
        if same is None:
            self._entered_at = now

    def on_connect(self, now: float) -> Action | None:
        """The action for a client that has just connected."""
        return self._act(self._state.connect, now)

    def on_received(self, now: float) -> None:
        """Restart the silence timer when bytes arrive, whether or not they complete a message."""
        self._received_at = now
        if self._fired:
            self._fired.clear()

    def on_message(self, message: bytes, now: float) -> Action | None:
        """The action for a message, given without the end of its frame."""
        self.count += 1
        match = self._state.matcher.find(message, self._context)
        if match is None:
            return None
        rule, groups = match
        action = Action(rule, self._context(groups, message))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return action

    def on_half_close(self, now: float) -> Action | None:
        """The action for the client's FIN."""
        return self._act(self._state.half_close, now)

    @property
    def deadline(self) -> float:
        """When ``on_silence`` should be called; infinite where the state has no silence left to wait for."""
        return min((self._deadline_of(rule) for rule in self._state.silences), default=math.inf)

    def on_silence(self, now: float) -> Action | None:
        """The action for a silence that has lasted long enough, if one has."""
        rule = min(self._state.silences, key=self._deadline_of, default=None)
        if rule is None or self._deadline_of(rule) > now:
            return None
        self._fired[rule.number] = now
        return self._act(rule, now)

    def _deadline_of(self, rule: Rule) -> float:
        fired = self._fired.get(rule.number)
        if fired is None:
            return max(self._received_at, self._entered_at) + rule.silence
        return fired + rule.silence if rule.repeat else math.inf

    def _act(self, rule: Rule | None, now: float) -> Action | None:
        if rule is None:
            return None
        action = Action(rule, self._context((b"",), b""))
        if rule.goto is not None:
            self._enter(rule.goto, now)
        return action

    def _enter(self, state: str, now: float) -> None:
        self._state = self._rules.states[state]
        self._entered_at = now
        self._fired.clear()

    def _context(self, groups: Groups, message: bytes) -> Context:
        peer, local, conn = self._client
        return Context(groups, message, peer, local, conn, self.count, self._state.name, 0, self._random)
