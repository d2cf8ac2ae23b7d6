"""How a fault is written: ``latency 200ms jitter 50ms out p=0.1`` (docs/faults.md has the whole language).

    FAULT [ARGUMENT] [CLAUSE VALUE]… [in|out|both] [upstream] [p=SHARE] [first=N] [every=N] [net=NET]

What follows the name and its argument may stand in any order. ``KINDS`` says for each fault what it takes.
"""

import ipaddress
import re
from typing import Any, Final, Literal, NamedTuple

from portside.errors import InvalidValue
from portside.networks import Network
from portside.units import parse_count, parse_duration, parse_positive_duration, parse_positive_size

Direction = Literal["in", "out"]

_SHARE = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)


class Fault(NamedTuple):
    """One fault as it was asked for; what its kind does not take has its default. Times are seconds, sizes bytes."""

    kind: str
    spec: str  # as it was written
    time: float = 0.0  # the argument of ``latency`` and ``accept-delay``
    rate: int = 0  # bytes a second
    share: float = 0.0  # of the bytes that ``corrupt`` changes
    sizes: tuple[int, int] = (1, 1)  # of pieces: from, to
    jitter: float = 0.0
    gap: float = 0.0
    at: int | None = None  # so many bytes of that direction pass before it
    after: float | None = None  # so much time passes before it
    lasts: float | None = None  # None: to the end
    directions: tuple[Direction, ...] = ("in", "out")
    upstream: bool = False  # on the connection to --forward's address
    p: float = 1.0  # the share of the connections that have it
    first: int | None = None
    every: int | None = None
    net: Network | None = None

    @property
    def random(self) -> bool:
        """Whether chance has a part in it."""
        return self.p < 1 or self.jitter > 0 or self.kind == "corrupt" or self.sizes[0] != self.sizes[1]


class Kind(NamedTuple):
    """What a fault takes."""

    example: str
    argument: str | None = None  # the field of Fault
    clauses: tuple[str, ...] = ()
    directions: tuple[Direction, ...] = ()  # where none is given; empty: it has none
    chosen: bool = True  # whether some connections may have it and others not


_BOTH: Final[tuple[Direction, ...]] = ("in", "out")
_WHILE: Final = ("at", "after", "for")
_ONCE: Final = ("at", "after")

KINDS: Final[dict[str, Kind]] = {
    "drop": Kind("drop after 2s", None, _WHILE, ("in",)),
    "corrupt": Kind("corrupt 0.01", "share", _WHILE, _BOTH),
    "latency": Kind("latency 200ms jitter 50ms", "time", ("jitter", *_WHILE), _BOTH),
    "rate": Kind("rate 10k/s", "rate", _WHILE, _BOTH),
    "slice": Kind("slice 1..20 gap 5ms", "sizes", ("gap", *_WHILE), _BOTH),
    "stall": Kind("stall at 1k for 5s", None, _WHILE, ("in",)),
    "limit": Kind("limit 10k", "at", (), _BOTH),
    "half-close": Kind("half-close after 1s", None, _ONCE, _BOTH),
    "close": Kind("close at 1k", None, _ONCE, _BOTH),
    "reset": Kind("reset at 100", None, _ONCE, _BOTH),
    "refuse": Kind("refuse p=0.1"),
    "accept-delay": Kind("accept-delay 2s", "time", chosen=False),
    "never-accept": Kind("never-accept after 10s for 5s", None, ("after", "for"), chosen=False),
}
"""In the order in which they act on what passes, whatever the order of the options."""


def parse_fault(text: str) -> Fault:
    """Read one fault. Raises InvalidValue, which says what is wrong and what would be right."""
    words = text.split()
    name = words.pop(0) if words else ""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidValue(f"{name!r} is no fault{_nearest(name)}: write one of {', '.join(KINDS)}")
    return _Reader(" ".join((name, *words)), name, kind, words).read()


class _Reader:
    """Reads the words of one fault."""

    def __init__(self, spec: str, name: str, kind: Kind, words: list[str]) -> None:
        self._spec = spec
        self._name = name
        self._kind = kind
        self._words = words
        self._given: dict[str, Any] = {}

    def read(self) -> Fault:
        kind = self._kind
        if kind.argument is not None:
            if not self._words:
                raise InvalidValue(f"{self._name} says too little: write as in {kind.example!r}")
            self._set(kind.argument, _ARGUMENTS[self._name](self._words.pop(0)), self._name)
        while self._words:
            self._clause(self._words.pop(0))
        given = self._given
        if "at" in given and "after" in given:
            raise InvalidValue(f"{self._name} begins at a size or after a time, not both")
        if kind.clauses == _ONCE and "at" not in given and "directions" in given:
            raise InvalidValue(
                f"{self._name} has a direction only where it counts bytes, as in '{self._name} at 1k in'"
            )
        given.setdefault("directions", kind.directions)
        return Fault(self._name, self._spec, **given)

    def _set(self, field: str, value: object, word: str) -> None:
        if field in self._given:
            raise InvalidValue(f"{word!r}: {self._name} has that twice")
        self._given[field] = value

    def _clause(self, word: str) -> None:
        key, equals, value = word.partition("=")
        if word in self._kind.clauses:
            if not self._words:
                raise InvalidValue(f"{word!r} says too little: write as in {_CLAUSES[word][1]!r}")
            self._timed(word, self._words.pop(0))
        elif word in ("in", "out", "both") and self._kind.directions:
            self._set("directions", _BOTH if word == "both" else (word,), word)
        elif word == "upstream" and self._kind.directions:
            self._set("upstream", True, word)
        elif equals and key in _SHARES and self._kind.chosen:
            self._set(key, _SHARES[key](value), word)
        else:
            raise InvalidValue(f"{word!r} says nothing to {self._name}: {self._takes()}")

    def _timed(self, word: str, value: str) -> None:
        if word == "after" and "at" in self._kind.clauses and _is_size(value):
            word = "at"
        self._set(_FIELDS.get(word, word), _CLAUSES[word][0](value), word)

    def _takes(self) -> str:
        kind = self._kind
        takes = [*kind.clauses]
        if kind.directions:
            takes += ["in", "out", "both", "upstream"]
        if kind.chosen:
            takes += [f"{key}=" for key in _SHARES]
        return f"it takes {', '.join(takes)}" if takes else f"write as in {kind.example!r}"


def _is_size(text: str) -> bool:
    """Whether ``after`` counts bytes here: the unit is one of sizes and of nothing else (``1k``, ``2M``)."""
    return text[-1:] in "kKMgGtT"


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, KINDS, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _rate(text: str) -> int:
    amount, slash, per = text.partition("/")
    if not slash or per != "s":
        raise InvalidValue(f"{text!r} is no rate: write bytes a second as 10k/s")
    return parse_positive_size(amount)


def _sizes(text: str) -> tuple[int, int]:
    low, dots, high = text.partition("..")
    sizes = parse_positive_size(low), parse_positive_size(high if dots else low)
    if sizes[1] < sizes[0]:
        raise InvalidValue(f"{text!r}: write the smaller size first")
    return sizes


def _share(text: str) -> float:
    share = float(text) if len(text) < 32 and _SHARE.fullmatch(text) else 0.0
    if not 0 < share <= 1:
        raise InvalidValue(f"{text!r} is no share: write a number above 0 and up to 1, as 0.1")
    return share


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidValue(f"{text!r} is no network: write as in net=10.0.0.0/8") from None


_FIELDS: Final = {"for": "lasts"}
_ARGUMENTS: Final[dict[str, Any]] = {
    "latency": parse_positive_duration,
    "rate": _rate,
    "slice": _sizes,
    "corrupt": _share,
    "limit": parse_positive_size,
    "accept-delay": parse_positive_duration,
}
_CLAUSES: Final[dict[str, tuple[Any, str]]] = {
    "jitter": (parse_positive_duration, "jitter 50ms"),
    "gap": (parse_positive_duration, "gap 5ms"),
    "at": (parse_positive_size, "at 1k"),
    "after": (parse_duration, "after 2s"),
    "for": (parse_positive_duration, "for 5s"),
}
_SHARES: Final[dict[str, Any]] = {"p": _share, "first": parse_count, "every": parse_count, "net": _network}


def parse_seed(text: str) -> int:
    """Read a seed: a whole number from 0."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidValue(f"{text!r} is no seed: write a whole number from 0")
    return int(text)
