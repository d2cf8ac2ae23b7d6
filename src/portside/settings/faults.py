"""Parsing the language of ``--fault``: ``latency 200ms jitter 50ms out p=0.1`` (docs/faults.md has the whole language).

    FAULT [ARGUMENT] [CLAUSE VALUE]… [in|out|both] [upstream] [p=SHARE] [first=N] [every=N] [net=NET]

After the name and its argument, the order does not matter. ``wire.faults.model.KINDS`` has the words that each fault
takes, ``_VALUES`` the syntax of their values.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from portside.errors import InvalidValue
from portside.nearest import nearest
from portside.networks import Network, parse_network
from portside.units import parse_count, parse_duration, parse_positive_duration, parse_positive_size
from portside.wire.faults.model import BOTH, KINDS, ONCE, FaultSpec, Kind, Selector, Window

_BARE_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_Part = TypeVar("_Part", bound=msgspec.Struct)


def parse_fault(text: str) -> FaultSpec:
    """Read one fault. Raises InvalidValue, which says what is wrong and what would be right."""
    words = text.split()
    name = words.pop(0) if words else ""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidValue(f"{name!r} is no fault{_nearest(name)}: write one of {', '.join(KINDS)}")
    return _FaultReader(" ".join((name, *words)), name, kind, words).read()


class _FaultReader:
    """Parses the words of one fault."""

    def __init__(self, text: str, name: str, kind: Kind, words: list[str]) -> None:
        self._text = text
        self._name = name
        self._kind = kind
        self._words = words
        self._given: dict[str, Any] = {}  # by field of the effect, the window or the selector

    def read(self) -> FaultSpec:
        kind = self._kind
        if kind.argument is not None:
            if not self._words:
                raise InvalidValue(f"{self._name} says too little: write as in {kind.example!r}")
            self._set(kind.argument, _VALUES[kind.argument].parse(self._words.pop(0)), self._name)
        while self._words:
            self._clause(self._words.pop(0))
        given = self._given
        if "at" in given and "after" in given:
            raise InvalidValue(f"{self._name} begins at a size or after a time, not both")
        if kind.clauses == ONCE and "at" not in given and "directions" in given:
            raise InvalidValue(
                f"{self._name} has a direction only where it counts bytes, as in '{self._name} at 1k in'"
            )
        given.setdefault("directions", kind.directions)
        return FaultSpec(self._name, self._text, self._make(kind.effect), self._make(Window), self._make(Selector))

    def _make(self, part: type[_Part]) -> _Part:
        """One part of the fault, of those values that are its fields."""
        return part(**{field: self._given[field] for field in part.__struct_fields__ if field in self._given})

    def _set(self, field: str, value: object, word: str) -> None:
        if field in self._given:
            raise InvalidValue(f"{word!r}: {self._name} has that twice")
        self._given[field] = value

    def _clause(self, word: str) -> None:
        key, equals, value = word.partition("=")
        if word in self._kind.clauses:
            if not self._words:
                raise InvalidValue(f"{word!r} says too little: write as in '{word} {_VALUES[word].example}'")
            self._timed(word, self._words.pop(0))
        elif word in ("in", "out", "both") and self._kind.directions:
            self._set("directions", BOTH if word == "both" else (word,), word)
        elif word == "upstream" and self._kind.directions:
            self._set("upstream", True, word)
        elif equals and key in Selector.__struct_fields__ and self._kind.selectable:
            self._set(key, _VALUES[key].parse(value), word)
        else:
            raise InvalidValue(f"{word!r} says nothing to {self._name}: {self._takes()}")

    def _timed(self, word: str, value: str) -> None:
        if word == "after" and "at" in self._kind.clauses:
            if _is_size(value):
                word = "at"
            elif _BARE_NUMBER.fullmatch(value):
                raise InvalidValue(f"{value!r} has no unit: write {value}ms or {value}s, or 'at {value}' for bytes")
        self._set("lasts" if word == "for" else word, _VALUES[word].parse(value), word)

    def _takes(self) -> str:
        kind = self._kind
        takes = [*kind.clauses]
        if kind.directions:
            takes += ["in", "out", "both", "upstream"]
        if kind.selectable:
            takes += [f"{key}=" for key in Selector.__struct_fields__]
        return f"it takes {', '.join(takes)}" if takes else f"write as in {kind.example!r}"


def _is_size(text: str) -> bool:
    """Whether ``after`` counts bytes here: the unit is one of sizes and of nothing else (``1k``, ``2M``)."""
    return text[-1:] in "kKMgGtT"


_SYNONYMS = {
    **dict.fromkeys(("delay", "lag"), "latency"),
    **dict.fromkeys(("loss", "lose", "discard"), "drop"),
    **dict.fromkeys(("bandwidth", "throttle"), "rate"),
    **dict.fromkeys(("hang", "freeze", "pause"), "stall"),
    **dict.fromkeys(("rst", "abort"), "reset"),
    **dict.fromkeys(("fin", "disconnect"), "close"),
    "reject": "refuse",
}


def _nearest(name: str) -> str:
    near = nearest(name, KINDS, _SYNONYMS)
    return f" (did you mean {near}?)" if near else ""


def _rate(text: str) -> int:
    amount, slash, per = text.partition("/")
    if not slash or per != "s":
        raise InvalidValue(f"{text!r} is no rate: write bytes a second as 10k/s")
    return parse_positive_size(amount)


def _delay(text: str) -> float:
    """A positive duration, with its unit."""
    return parse_positive_duration(_with_unit(text))


def _start(text: str) -> float:
    """A duration, with its unit, that may be 0."""
    return parse_duration(_with_unit(text))


def _with_unit(text: str) -> str:
    """Check that a duration has a unit: a bare number would be seconds, and mostly milliseconds are meant."""
    if _BARE_NUMBER.fullmatch(text):
        raise InvalidValue(f"{text!r} has no unit: write {text}ms or {text}s")
    return text


def _sizes(text: str) -> tuple[int, int]:
    low, dots, high = text.partition("..")
    sizes = parse_positive_size(low), parse_positive_size(high if dots else low)
    if sizes[1] < sizes[0]:
        raise InvalidValue(f"{text!r}: write the smaller size first")
    return sizes


def _probability(text: str) -> float:
    probability = float(text) if len(text) < 32 and _BARE_NUMBER.fullmatch(text) else 0.0
    if not 0 < probability <= 1:
        raise InvalidValue(f"{text!r} is no share: write a number above 0 and up to 1, as 0.1")
    return probability


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no network: write as in net=10.0.0.0/8") from None


class _Value(NamedTuple):
    """The syntax of the value of an argument, a clause or a selector."""

    parse: Callable[[str], object]
    example: str = ""  # where a message shows one


_VALUES: Final = {
    "delay": _Value(_delay),
    "bytes_per_s": _Value(_rate),
    "sizes": _Value(_sizes),
    "probability": _Value(_probability),
    "max_bytes": _Value(parse_positive_size),
    "jitter": _Value(_delay, "50ms"),
    "gap": _Value(_delay, "5ms"),
    "at": _Value(parse_positive_size, "1k"),
    "after": _Value(_start, "2s"),
    "for": _Value(_delay, "5s"),
    "p": _Value(_probability),
    "first": _Value(parse_count),
    "every": _Value(parse_count),
    "net": _Value(_network),
}
