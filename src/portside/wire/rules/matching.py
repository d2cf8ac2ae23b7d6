"""The rule of a state that matches a message.

All texts that a message may equal are one dictionary; all expressions are one RE2 set, which finds those that match in
one pass over the message. So the time for a message does not grow with the number of rules.
"""

from collections.abc import Callable, Sequence
from typing import Any

import re2

from portside.wire.rules.patterns import SET_MEMORY_BYTES, options
from portside.wire.rules.ruleset import Rule
from portside.wire.rules.template import Context, Groups

MakeContext = Callable[[Groups, bytes], Context]
"""Makes the context of an answer from what the condition's groups matched and the message."""


RuleMatch = tuple[Rule, Groups]
"""A rule, and the parts of the message that its condition and the condition's groups matched."""


class Matcher:
    """Finds the rule for a message among the rules of one state."""

    __slots__ = ("_any", "_exact", "_first_pattern", "_folded", "_patterns", "_rule_indices", "_rules", "_set")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._exact: dict[bytes, list[int]] = {}
        self._folded: dict[bytes, list[int]] = {}  # lower case
        self._patterns: list[int] = []
        self._any: list[int] = []
        for index, rule in enumerate(rules):
            if rule.when == "equals" and rule.ignore_case:
                self._folded.setdefault(rule.text.lower(), []).append(index)
            elif rule.when == "equals":
                self._exact.setdefault(rule.text, []).append(index)
            elif rule.when == "pattern":
                self._patterns.append(index)
            elif rule.when == "message":
                self._any.append(index)
        for text, indices in self._exact.items():
            self._exact[text] = sorted([*indices, *self._any])
        self._rule_indices = (*self._patterns, len(rules))
        self._first_pattern = self._patterns[0] if self._patterns else len(rules)
        self._set = self._make_set() if len(self._patterns) > 1 else None

    def _make_set(self) -> Any:
        """All expressions as one RE2 set; None where the set would exceed RE2's memory limit."""
        made = re2.Set.SearchSet(options(SET_MEMORY_BYTES))
        try:
            for index in self._patterns:
                made.Add(self._rules[index].source)
            # The last expression always matches: a set that runs out of memory reports no match at all, not why.
            made.Add(b"")
            made.Compile()
        except re2.error:
            return None
        return made

    def find(self, message: bytes, make_context: MakeContext) -> RuleMatch | None:
        """The first rule that matches a message. ``make_context`` serves the templates of ``where``."""
        found = self._exact.get(message, self._any)
        if self._folded and (folded := self._folded.get(message.lower())) is not None:
            found = sorted({*found, *folded})
        if self._patterns and (not found or found[0] > self._first_pattern or self._rules[found[0]].where):
            return self._find_among(message, make_context, found)
        for index in found:
            rule = self._rules[index]
            if not rule.where or _holds(rule, (message,), message, make_context):
                return rule, (message,)
        return None

    def _find_among(self, message: bytes, make_context: MakeContext, found: Sequence[int]) -> RuleMatch | None:
        """The first rule that matches a message, where expressions have to be tried."""
        matches: Any = self._set.Match(message) if self._set is not None else None
        certain = bool(matches)
        if not certain:
            matches = range(len(self._patterns))  # there is no set, or RE2 ran out of memory
        for index in sorted([*found, *map(self._rule_indices.__getitem__, matches)]):
            if index == len(self._rules):
                return None
            rule = self._rules[index]
            groups: Groups = (message,)
            if rule.pattern is not None and (rule.uses_groups or not certain):
                match = rule.pattern.compiled.search(message)
                if match is None:
                    continue
                groups = match
            if not rule.where or _holds(rule, groups, message, make_context):
                return rule, groups
        return None


def _holds(rule: Rule, groups: Groups, message: bytes, make_context: MakeContext) -> bool:
    context = make_context(groups, message)
    return all((groups[index] or b"") == template.render(context) for index, template in rule.where)
