"""The parser: recursive descent over the words, one method a rule of the grammar in ``__init__``."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, cast

from portside.errors import InvalidValue
from portside.kernel import states
from portside.kernel.filter.columns import SOCKETS, FilterColumn, Vocabulary, name_or_number, parse_integer
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.hosts import LAST_PORT, parse_host, parse_port_range
from portside.kernel.filter.lexer import Token, tokens
from portside.kernel.filter.resolver import NameResolver, NumericResolver
from portside.kernel.filter.tree import (
    EVERYTHING,
    And,
    Comparison,
    Filter,
    Mark,
    Not,
    Number,
    Or,
    PortIn,
    ProgramIs,
    Side,
    StateIn,
    TextIs,
)
from portside.nearest import nearest

_MOST_NESTED = 100
_PORTS: dict[str, Side] = {"sport": "local", "dport": "remote"}
_EQUALITY = ("=", "!=")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_ALL_MARK_BITS = 0xFFFFFFFF
_HABITS = {
    "port": "a bare port, as in 443, is that of either end; sport = :443 is the local one, dport = :443 the remote one",
    "host": "write src HOST or dst HOST",
    "net": "write src 10.0.0.0/8 or dst 10.0.0.0/8",
    "tcp": "all that is here is TCP, leave it out",
    "tcp6": "-6 shows IPv6 alone",
    "tcp4": "-4 shows IPv4 alone",
    "udp": "TCP only, there is nothing here about UDP",
    "help": "`portside watch --help` lists the options, `portside help filter` describes filters",
    "user": "write uid = NAME",
    "cmd": "write program = NAME",
    "comm": "write program = NAME",
    "process": "write program = NAME",
}
"""Words of tcpdump, lsof and ps, and what does the same here."""
# What connections of a server, load and other tools call the numbers of a socket.
_SYNONYMS = {
    "received": "bytes_received",
    "sent": "bytes_sent",
    "recv": "recvq",
    "send": "sendq",
    "local": "src",
    "remote": "dst",
    "peer": "dst",
}
_WORDS = ("state", "exclude", *_PORTS, "program", "mark", "fwmark")

_T = TypeVar("_T")


def parse(text: str, names: NameResolver | None = None, columns: Vocabulary = SOCKETS) -> Filter:
    """Read a filter of a table with these columns; an empty one is true of every row. Raises FilterError."""
    return _FilterParser(text, names or NumericResolver(), columns).whole()


class _FilterParser:
    def __init__(self, text: str, names: NameResolver, columns: Vocabulary) -> None:
        self._text = text
        self._names = names
        self._columns = columns
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Filter:
        if self._ended:
            return EVERYTHING
        tree = self._filter()
        if self._token.sign == ")":
            raise self._wrong(self._token, "this parenthesis closes nothing")
        return tree

    # The place in the text.

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    @property
    def _ended(self) -> bool:
        return self._next == len(self._tokens) - 1

    def _take(self) -> Token:
        token = self._token
        self._next += not self._ended
        return token

    def _wrong(self, token: Token, problem: str) -> FilterError:
        return FilterError(problem, self._text, token.at, token.width)

    def _read(self, token: Token, parse: Callable[[str], _T]) -> _T:
        try:
            return parse(token.text)
        except InvalidValue as problem:
            raise self._wrong(token, str(problem)) from None

    # The rules.

    def _filter(self) -> Filter:
        tree = self._term(None)
        before = self._depth
        # The terms of the tree: a list, for there may be many thousand.
        terms = list(tree.terms) if isinstance(tree, And | Or) else []
        while not self._ended and self._token.sign != ")":
            joint = self._take() if self._token.sign in ("&", "|") else None
            kind = Or if joint and joint.sign == "|" else And
            if not isinstance(tree, kind):
                self._deeper(self._token)
                if isinstance(tree, And | Or):
                    tree = type(tree)(tuple(terms))
                tree, terms = kind(()), [tree]
            terms.append(self._term(joint))
        self._depth = before
        return type(tree)(tuple(terms)) if isinstance(tree, And | Or) else tree

    def _term(self, after: Token | None) -> Filter:
        token = self._take()
        if token.sign == "(":
            return self._group(token)
        if token.sign == "!":
            self._deeper(token)
            tree = Not(self._term(token))
            self._depth -= 1
            return tree
        if token.sign or self._is_end(token):
            missing = f"a condition is missing after {after.text!r}" if after else "a condition is missing"
            raise self._wrong(token, missing)
        return self._condition(token)

    def _group(self, opening: Token) -> Filter:
        self._deeper(opening)
        tree = self._filter()
        if self._take().sign != ")":
            raise self._wrong(opening, "this parenthesis is not closed")
        self._depth -= 1
        return tree

    def _condition(self, token: Token) -> Filter:
        word = token.text.lower()
        if word in ("state", "exclude"):
            return self._states(token)
        if word in self._columns.ends:
            negated = self._comparison(token, _EQUALITY) == "!="
            side = self._columns.ends[word]
            tree = self._read(self._value(token), lambda text: parse_host(text, side, self._names))
            return Not(tree) if negated else tree
        if word in _PORTS:
            return self._port(token, _PORTS[word])
        if word == "program":
            negated = self._comparison(token, _EQUALITY) == "!="
            named = ProgramIs(self._value(token).text)
            return Not(named) if negated else named
        if word in ("mark", "fwmark"):
            negated = self._comparison(token, _EQUALITY) == "!="
            mark = self._read(self._value(token), _parse_mark)
            return Not(mark) if negated else mark
        if word in self._columns.numbers:
            return self._number(token, self._columns.numbers[word])
        if word in self._columns.texts:
            negated = self._comparison(token, _EQUALITY) == "!="
            text = TextIs(self._columns.texts[word], self._value(token).text)
            return Not(text) if negated else text
        return self._either_port(token)

    def _states(self, token: Token) -> Filter:
        """``state`` and ``exclude`` side by side, joined as ss joins them."""
        chosen: int | None = None
        while True:
            named = self._value(token)
            states_named = self._read(named, _parse_state)
            if token.text.lower() == "state":
                chosen = (chosen or 0) | states_named
            else:
                chosen = (states.ALL if chosen is None else chosen) & ~states_named
            if self._token.sign or self._token.text.lower() not in ("state", "exclude"):
                return StateIn(chosen)
            token = self._take()

    def _port(self, token: Token, side: Side) -> Filter:
        comparison = self._comparison(token, _COMPARISONS)
        value = self._value(token)
        low, high = self._read(value, lambda text: parse_port_range(text, self._names))
        if comparison in _EQUALITY:
            tree = PortIn(side, low, high)
            return Not(tree) if comparison == "!=" else tree
        if low != high:
            raise self._wrong(value, "a range of ports can only be = or !=")
        if comparison in ("<", "<="):
            return PortIn(side, 0, low - (comparison == "<"))
        return PortIn(side, low + (comparison == ">"), LAST_PORT)

    def _number(self, token: Token, column: FilterColumn) -> Filter:
        comparison = self._comparison(token, _COMPARISONS)
        value = self._value(token)
        number = self._read(value, lambda text: self._parse_number(column, text))
        if comparison == "!=":
            return Not(Number(column.column, "=", number))
        return Number(column.column, cast("Comparison", comparison), number)

    def _parse_number(self, column: FilterColumn, text: str) -> float:
        """A value of a column: a name where there is one, else a number."""
        if column.named is None:
            return column.parse(text)
        find = {"interface": self._names.interface, "cgroup": self._names.cgroup, "user": self._names.user}
        return name_or_number(text, find[column.named], column.parse)

    def _either_port(self, token: Token) -> Filter:
        """A bare port: either end has it."""
        text = token.text
        if not text.startswith(":") and not text.replace("-", "").isdigit():
            raise self._wrong(token, self._unknown(text))
        low, high = self._read(token, lambda text: parse_port_range(text, self._names))
        return Or((PortIn("local", low, high), PortIn("remote", low, high)))

    def _unknown(self, text: str) -> str:
        columns = self._columns
        if habit := _HABITS.get(text.lower()):
            return f"{text!r} begins no condition: {habit}"
        like = _like(text.lower(), (*_WORDS, *columns.ends, *columns.numbers, *columns.texts), _SYNONYMS)
        if "." in text or ":" in text:
            return f"{text!r} begins no condition: write src {text} or dst {text}"
        if not like and text.lower().replace("_", "-") in states.WORDS:
            return f"{text!r} begins no condition: write state {text}"
        ports = text.split(",")
        if len(ports) > 1 and all(port.isdigit() for port in ports):
            return f"{text!r} begins no condition: write {' or '.join(ports)}"
        if not like and len(self._tokens) == 2 and text.isidentifier():  # nothing but this word, and the end
            return f"nothing is called {text!r}: a program is program = {text}, a service sport = :{text}"
        return f"nothing is called {text!r}{like}"

    # What several rules use.

    def _comparison(self, column: Token, allowed: tuple[str, ...]) -> str:
        """The sign after a column; none means ``=``."""
        token = self._token
        if token.sign not in _COMPARISONS:
            return "="
        if token.sign not in allowed:
            raise self._wrong(token, f"{column.text!r} can only be {' or '.join(allowed)}")
        return self._take().sign

    def _value(self, column: Token) -> Token:
        token = self._take()
        if token.sign or self._is_end(token):
            raise self._wrong(token, f"a value is missing after {column.text!r}")
        return token

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._wrong(token, f"more than {_MOST_NESTED} conditions inside each other")

    def _is_end(self, token: Token) -> bool:
        return token is self._tokens[-1]


def _parse_state(text: str) -> int:
    word = text.lower().replace("_", "-")
    if word not in states.WORDS:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) > 1:
            several = " ".join(f"state {part}" for part in parts)
            raise InvalidValue(f"no state is called {text!r}: several are written {several}")
        raise InvalidValue(f"no state is called {text!r}{_like(word, states.WORDS)}")
    return states.WORDS[word]


def _parse_mark(text: str) -> Mark:
    mark, slash, mask = text.partition("/")
    values = parse_integer(mark), parse_integer(mask) if slash else _ALL_MARK_BITS
    if max(values) > _ALL_MARK_BITS:
        raise InvalidValue(f"{text!r} is no mark: it has 32 bits")
    return Mark(*values)


def _like(word: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    near = nearest(word, known, synonyms)
    return f": did you mean {near}?" if near else ""
