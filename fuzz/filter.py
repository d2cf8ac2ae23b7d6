"""The filter language of ``watch``: words of the language in any order, with mistakes, over a stored dump.

A filter that is read is evaluated, and compiled for the kernel; one that is not has an error that points into it.
"""

import random
import zlib
from pathlib import Path

import numpy as np

from fuzz._mutations import mutate_text, words
from portside.errors import InvalidValue
from portside.kernel.bytecode import compile_filter, states_of
from portside.kernel.decoder import decode
from portside.kernel.filter import FilterError, HostAddress, Not, parse
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.kernel.filter.evaluate import evaluate, possible
from portside.kernel.filter.tree import columns_of
from portside.kernel.models import Owner
from portside.kernel.states import WORDS

_DUMPS = Path(__file__).parent.parent / "tests/unit/kernel/dumps"
_HOSTS = ("10.0.0.1", "10/8", "[::1]", "::1", "fe80::1%eth0", "[fe80::1]%eth0", "inet6:near", "*", "near", "fd00::/8")
_PORTS = (":22", "ssh", "8000-8010", "0", "65536", "*", ":*", "12345")
_VALUES = ("0", "1", "64k", "50ms", "80us", "1h", "0x1f", "12", "eth0", "root", "5g.slice", "nc", "n*", "''", "1/3")
_SIGNS = ("=", "!=", "<", "<=", ">", ">=", "==", "eq", "ne", "")
_JOINTS = ("and", "or", "not", "&", "||", "!", "(", ")", "")
_END_OF_PROGRAM = 4  # bytes behind a program for the kernel, where a socket that it does not want jumps to


class _Names:
    """A resolver that knows one name in so many, always the same."""

    def port(self, service: str) -> int:
        return _number(service, "service") % 65536

    def addresses(self, host: str) -> list[HostAddress]:
        number = _number(host, "host")
        return [HostAddress(number.to_bytes(4, "big")), HostAddress(number.to_bytes(16, "big"), number % 3)]

    def interface(self, name: str) -> int:
        return _number(name, "interface")

    def cgroup(self, path: str) -> int:
        return _number(path, "cgroup")

    def user(self, name: str) -> int:
        return _number(name, "user")


def _number(name: str, kind: str) -> int:
    number = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    if number % 4 == 0:
        raise InvalidValue(f"no {kind} is called {name!r}")
    return number


def _table_of_sockets() -> list[bytes]:
    return [path.read_bytes() for path in sorted(_DUMPS.glob("*.bin"))]


_TABLE = max((decode(data).table for data in _table_of_sockets()), key=len).with_owners(
    {77: (Owner(5, "nc", 3), Owner(6, None, None))}, "a process could not be read"
)
_AGES = np.where(np.arange(len(_TABLE)) % 2, np.nan, np.arange(len(_TABLE), dtype=float))


def make_input(chance: random.Random) -> str:
    """Conditions of the language, joined somehow, with no to six characters wrong."""
    if chance.random() < 0.02:
        return mutate_text("(" * chance.randrange(5000) + "!" * chance.randrange(200), chance)
    conditions = []
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        sign = chance.choice(_SIGNS)
        conditions.append(chance.choice((
            f"{chance.choice(('src', 'dst'))} {sign} {chance.choice(_HOSTS)}{chance.choice(('', ':80', ':ssh', ':'))}",
            f"{chance.choice(('sport', 'dport'))} {sign} {chance.choice(_PORTS)}",
            f"{chance.choice(('state', 'exclude'))} {words(chance, sorted(WORDS), 2)}",
            f"{chance.choice(sorted(FILTER_COLUMNS))} {sign} {chance.choice(_VALUES)}",
            f"{chance.choice(('program', 'mark', 'fwmark', 'dev', 'uid', 'cgroup'))} {sign} {chance.choice(_VALUES)}",
            chance.choice(_PORTS),
        )))  # fmt: skip
        conditions.append(words(chance, _JOINTS, 2))
    return mutate_text(" ".join(conditions), chance)


def accepts(value: str) -> bool:
    """Read a filter; evaluate and compile it, or look at its error."""
    try:
        tree = parse(value, _Names())
    except FilterError as error:
        _check_error(error, value)
        return False
    true = evaluate(tree, _TABLE, _AGES)
    assert not (true & evaluate(Not(tree), _TABLE, _AGES)).any()
    assert not (true & ~possible(tree, _TABLE, _AGES)).any()
    columns_of(tree)
    assert not (true & ~_in_states(states_of(tree))).any()
    _check_program(compile_filter(tree) or b"")
    return True


def _check_error(error: FilterError, text: str) -> None:
    assert 0 <= error.at <= len(text)
    assert error.at + error.width <= len(text) + 1
    _, shown, mark = str(error).rsplit("\n", 2)
    assert shown[2:].isprintable()
    assert mark.strip(" ").strip("^") == ""


def _in_states(chosen: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return np.array([bool(chosen >> number & 1) or number == 12 for number in _TABLE.base["state"].tolist()], bool)


def _check_program(program: bytes) -> None:
    """Check what the kernel does (inet_diag_bc_audit): each jump leads forward, to an operation or to the end."""
    at, starts = 0, set()
    jumps = []
    while at < len(program):
        starts.add(at)
        size, no = program[at + 1], int.from_bytes(program[at + 2 : at + 4], "little")
        assert size >= 4
        assert size % 4 == 0
        assert no >= 4
        jumps += [at + size, at + no]
        at += size
    assert at == len(program)
    assert set(jumps) <= starts | {len(program), len(program) + _END_OF_PROGRAM}
