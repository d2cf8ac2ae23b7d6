"""The values of the rules language: a rule, what it answers, a book of rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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


class InvalidRules(UsageError):
    """Rules that cannot be used: where, what is wrong, and what to do."""


class Answer(NamedTuple):
    """One thing to send, ``delay`` seconds after what was before it."""

    template: Template
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """When it applies, and what happens then."""

    number: int  # from 1, in the order of the file
    name: str  # for people
    position: Position
    states: tuple[str, ...] = ()  # none: in all of them
    when: When
    text: bytes = b""  # of ``equals``
    ignore_case: bool = False  # of ``equals``
    pattern: Pattern | None = None  # of ``pattern``
    silence: float = 0.0  # of ``silence``, in seconds
    repeat: bool = False  # a silence that goes on counts again
    where: tuple[tuple[int, Template], ...] = ()  # groups and what they must be
    answers: tuple[Answer, ...] = ()
    end: End | None = None
    goto: str | None = None

    @cached_property
    def uses_groups(self) -> bool:
        """Whether anything asks what the condition met."""
        return bool(self.where) or any(answer.template.constant is None for answer in self.answers)

    @property
    def source(self) -> bytes:
        """The expression of its condition, empty where it is none."""
        return self.pattern.source if self.pattern is not None else b""

    @cached_property
    def is_simple(self) -> bool:
        """Whether it has one answer or none, at once, and the conversation goes on."""
        return self.end is None and len(self.answers) < 2 and not any(answer.delay for answer in self.answers)

    def __str__(self) -> str:
        return f"rule {self.number}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleSet:
    """All rules of a server, of which the first that applies does; ``states`` in the order in which they are named."""

    rules: Sequence[Rule]
    start: str
    states: tuple[str, ...]
    frame: Frame | None = None
    source: str = ""  # the file's name
    start_position: Position = field(default=Position(1, 1))

    def in_state(self, state: str) -> list[Rule]:
        """The rules that apply in a state, in their order."""
        return [rule for rule in self.rules if not rule.states or state in rule.states]
