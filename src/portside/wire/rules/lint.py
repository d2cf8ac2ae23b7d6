"""States and rules that can never apply: nothing leads to them, or an earlier rule always comes first."""

from collections.abc import Iterator

from portside.wire.rules.ruleset import Rule, RuleSet
from portside.wire.rules.toml_positions import Position


def reachable(rule_set: RuleSet) -> set[str]:
    """The names of the states that a conversation can reach."""
    seen: set[str] = set()
    ahead = [rule_set.start]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += [rule.goto for rule in rule_set.of_state(state) if rule.goto is not None]
    return seen


def warnings(rule_set: RuleSet) -> Iterator[tuple[Position, str]]:
    """The position and a description of each state and rule that can never apply."""
    seen = reachable(rule_set)
    for state in rule_set.states:
        if state not in seen:
            first = next(rule for rule in rule_set.rules if state in rule.states)
            yield first.position, f"nothing leads to the state {state!r}"
    for rule in rule_set.rules:
        states = [state for state in rule.states or rule_set.states if state in seen]
        if not states:
            continue
        if rule.when == "connect" and rule_set.start not in states:
            yield rule.position, f"{rule} never applies: a client that connects is in the state {rule_set.start!r}"
            continue
        covers = [_covered_by(rule, rule_set, state) for state in states]
        if all(covers):
            yield rule.position, f"{rule} never applies: {covers[0]} comes before it"


def _covered_by(rule: Rule, rule_set: RuleSet, state: str) -> Rule | None:
    """The earlier rule of a state that always applies in place of this one; None where there is none."""
    before = (each for each in rule_set.of_state(state) if each.number < rule.number)
    return next((each for each in before if not each.where and _covers(each, rule)), None)


def _covers(earlier: Rule, later: Rule) -> bool:
    if earlier.when == "message":
        return later.when in ("message", "equals", "pattern")
    if earlier.when == "pattern" and later.when == "pattern":
        return earlier.source == later.source
    if earlier.when == "pattern" and later.when == "equals" and not later.ignore_case:
        return earlier.pattern is not None and earlier.pattern.compiled.search(later.text) is not None
    if earlier.when != later.when or earlier.when == "silence":
        return False
    if earlier.when == "equals":
        if earlier.ignore_case:
            return earlier.text.lower() == later.text.lower()
        return earlier.text == later.text and not later.ignore_case
    return True  # connect, half-close: there is one of them
