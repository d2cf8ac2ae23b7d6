"""The values of the rules language: a rule, its answers, a rule set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple, get_args

from portside.errors import UsageError
from portside.wire.frame import Frame
from portside.wire.rules.patterns import Pattern
from portside.wire.rules.template import Template
from portside.wire.rules.toml_positions import Position

When = Literal["equals", "pattern", "message", "connect", "half-close", "silence"]
End = Literal["close", "reset", "half-close"]
ENDS: Final[dict[str, End]] = {end: end for end in get_args(End)}


class RulesError(UsageError):
    """An error in rules: its position, what is wrong, and what to do about it; ``others`` stand behind it."""

    others: "tuple[RulesError, ...]" = ()


class Answer(NamedTuple):
    """Something to send, ``delay`` seconds after the previous answer was sent."""

    template: Template
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """A condition, and what happens when it holds."""

    number: int  # from 1, in the order of the file
    name: str  # shown to people
    position: Position
    states: tuple[str, ...] = ()  # empty: the rule holds in all states
    when: When
    text: bytes = b""  # of ``equals``
    ignore_case: bool = False  # of ``equals``
    pattern: Pattern | None = None  # of ``pattern``
    silence: float = 0.0  # of ``silence``, in seconds
    repeat: bool = False  # whether the rule applies again each time the silence has lasted as long again
    where: tuple[tuple[int, Template], ...] = ()  # groups and what they must be
    answers: tuple[Answer, ...] = ()
    end: End | None = None
    goto: str | None = None

    @cached_property
    def uses_groups(self) -> bool:
        """Whether ``where`` or an answer refers to what the condition matched."""
        return bool(self.where) or any(answer.template.constant is None for answer in self.answers)

    @property
    def source(self) -> bytes:
        """The regular expression of the condition; empty for a condition of another kind."""
        return self.pattern.source if self.pattern is not None else b""

    @cached_property
    def is_immediate(self) -> bool:
        """Whether the rule has one answer at most, without a delay, and does not end the conversation."""
        return self.end is None and len(self.answers) < 2 and not any(answer.delay for answer in self.answers)

    def __str__(self) -> str:
        return f"rule {self.number}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleSet:
    """All rules of a server; the first one that applies is used. ``states`` are in the order of their first mention."""

    rules: Sequence[Rule]
    start: str
    states: tuple[str, ...]
    frame: Frame | None = None
    source: str = ""  # name of the file

    def of_state(self, state: str) -> list[Rule]:
        """The rules that hold in a state, in the order of the file."""
        return [rule for rule in self.rules if not rule.states or state in rule.states]
