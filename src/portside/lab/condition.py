"""What a lab is: a condition with its two lines of explanation, and the scene that is on once it has been made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from portside.lab.bench import Bench


class Look(NamedTuple):
    """A command that shows the condition, and what is to be seen in its output."""

    command: str
    shows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A condition that is being made.

    ``proof`` returns what shows in the kernel's own table and counters that the condition is there, in words, and None
    as long as it is not; it may take ``within_s`` seconds to come about. ``port`` is the one that a finding is about;
    None where it is about the machine. ``thresholds`` are those that ``diagnose`` is given to find the condition
    while it is young or small, as ``--set`` takes them.
    """

    looks: tuple[Look, ...]
    proof: Callable[[], str | None]
    within_s: float = 10.0
    port: int | None = None
    thresholds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition that can be made.

    ``what`` is one line on what the condition is, ``how`` one on how it is made. With ``isolated`` it is made in a
    network namespace of its own.
    """

    code: str
    what: str
    how: str
    make: Callable[[Bench], Scene]
    isolated: bool = False
