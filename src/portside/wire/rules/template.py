"""Text or hex to send, in which ``${…}`` stands for a value that is known only when it is sent.

    ${1} ${name} ${0}           a group of the condition; 0 is all that it met
    ${message}                  the message, without the end of its frame
    ${peer} ${local} ${conn} ${count} ${state}
    ${time} ${time:%H:%M:%S} ${time:unix} ${time:unix-ms}       UTC
    ${random:1:100} ${random-hex:8} ${random-bytes:4}
    ${hex:SOURCE}               the bytes of something as hex digits
    ${u16be:SOURCE+2}           how many bytes it has, as an integer (u8 u16be u16le u32be u32le)
    ${len:SOURCE:4}             the same in decimal digits, so many at least
    ${crc16-modbus:SOURCE}      a checksum (``wire.checksums``), as bytes; or :be :le :hex :HEX

A SOURCE is ``message``, a group, or a part of the answer itself: ``before`` or ``after`` this variable, or
all of it: ``answer``. Each may be followed by a slice as in Python, ``message[1:-2]``.

Variables that refer to the answer itself have a fixed size, so the layout of the answer is known before they
are filled in: first all lengths, then the checksums from left to right. Until then they count as zeros.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from portside.errors import InvalidValue
from portside.units import parse_text
from portside.wire.checksums import CHECKSUMS
from portside.wire.frame import INTEGERS, ByteOrder


class Groups(Protocol):
    """The parts of a message that a condition matched: 0 the whole match, then its groups; None for an unused group."""

    def __getitem__(self, group: int, /) -> bytes | None: ...


class Context(msgspec.Struct, gc=False):
    """The values that a template may use."""

    groups: Groups
    message: bytes
    peer: str
    local: str
    conn: int
    messages: int  # of this connection so far
    state: str
    at: int  # ns since 1970
    random: Random


Get = Callable[[Context], bytes]


class _SelfField(NamedTuple):
    """A variable that refers to the answer itself; ``fill`` gets the answer so far and the variable's offset in it."""

    size: int
    is_checksum: bool
    fill: Callable[[bytearray, int], bytes]


Part = bytes | Get | _SelfField


class Template:
    """Bytes to send, with variables to fill in; ``constant`` holds the bytes of a template without variables."""

    __slots__ = ("_fields", "_parts", "constant")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._fields = any(isinstance(part, _SelfField) for part in parts)
        constant = [part for part in parts if isinstance(part, bytes)]
        self.constant = b"".join(constant) if len(constant) == len(parts) else None

    def render(self, context: Context) -> bytes:
        """The bytes to send."""
        if self.constant is not None:
            return self.constant
        if self._fields:
            return self._filled(context)
        return b"".join([part if type(part) is bytes else part(context) for part in self._parts])  # type: ignore[operator]

    def _filled(self, context: Context) -> bytes:
        answer = bytearray()
        fields: list[tuple[bool, int, _SelfField]] = []
        for part in self._parts:
            if isinstance(part, _SelfField):
                fields.append((part.is_checksum, len(answer), part))
                answer += bytes(part.size)
            else:
                answer += part if isinstance(part, bytes) else part(context)
        for _, at, field in sorted(fields, key=lambda each: each[:2]):
            answer[at : at + field.size] = field.fill(answer, at)
        return bytes(answer)


_TIME_DIRECTIVE = re.compile(r"(%[-_0^#]?[EO]?[A-Za-z%])")  # no width: strftime would fill a page of memory with it
_EPOCH = datetime(2001, 2, 3, 14, 5, 6, tzinfo=UTC)
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([^{}]*)\}|(\$\{)")
_SOURCE = re.compile(r"([A-Za-z_]\w*|\d{1,3})(?:\[(-?\d{1,9})?:(-?\d{1,9})?\])?([+-]\d{1,9})?", re.ASCII)
_PLAIN: dict[str, Get] = {
    "message": lambda context: context.message,
    "peer": lambda context: context.peer.encode("utf-8", "replace"),
    "local": lambda context: context.local.encode("utf-8", "replace"),
    "conn": lambda context: b"%d" % context.conn,
    "count": lambda context: b"%d" % context.messages,
    "state": lambda context: context.state.encode(),
    "time": lambda context: _iso(context.at).encode(),
}
_ITSELF = ("before", "after", "answer")
NAMES = frozenset({*_PLAIN, *_ITSELF})
"""What no group may be called."""
_MOST_RANDOM = 4096  # bytes, or digits


def text_template(text: str, groups: Mapping[str, int], most: int) -> Template:
    """Text with escapes (``units.parse_text``); ``groups`` are those with names, ``most`` how many there are in all.

    Raises InvalidValue.
    """
    return Template(_parts(text, parse_text, groups, most))


def hex_template(text: str, groups: Mapping[str, int], most: int) -> Template:
    """Bytes in hex with ``${…}`` between them. Raises InvalidValue."""
    return Template(_parts(text, _from_hex, groups, most))


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidValue(f"no hex: {text.strip()!r}; write 06 ff, and ${{…}} for variables") from None


def _parts(text: str, read: Callable[[str], bytes], groups: Mapping[str, int], most: int) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for variable in _VARIABLE.finditer(text):
        if variable[3]:
            raise InvalidValue(
                f"{text[variable.start() : variable.start() + 20]!r} has no end: write ${{name}}, or $${{"
            )
        parts.append(read(text[at : variable.start()]))
        parts.append(read(variable[1]) if variable[1] else _VariableParser(groups, most).part(variable[2]))
        at = variable.end()
    parts.append(read(text[at:]))
    return [part for part in parts if part != b""]


class _VariableParser:
    """Parses the inside of ``${…}``."""

    def __init__(self, groups: Mapping[str, int], most: int) -> None:
        self._groups = groups
        self._most = most

    def part(self, written: str) -> Part:
        name, colon, rest = written.partition(":")
        if name in CHECKSUMS and colon:
            return self._checksum(name, rest)
        if name in INTEGERS and colon:
            return self._integer(rest, *INTEGERS[name])
        if name == "len" and colon:
            return self._decimal(rest)
        if name == "hex" and colon:
            get = self._here(rest)
            return lambda context: get(context).hex().encode()
        if name == "time" and colon:
            return _time(rest)
        if name.startswith("random"):
            return _random(name, rest)
        if not colon and name in _PLAIN:
            return _PLAIN[name]
        return self._here(written)

    def _source(self, written: str) -> tuple[str, Get | None, slice, int]:
        """Its name, how to get it (None: of the answer itself), which piece, and what is added to its length."""
        found = _SOURCE.fullmatch(written)
        if found is None:
            raise InvalidValue(f"${{{written}}} is no variable: `portside help rules` lists them")
        name, first, last, more = found.groups()
        piece = slice(int(first) if first else None, int(last) if last else None)
        if name in _ITSELF:
            return name, None, piece, int(more or 0)
        get = _PLAIN.get(name)
        if get is None:
            index = int(name) if name.isdigit() else self._groups.get(name, -1)
            if index < 0:
                named = ", ".join(self._groups) or "none"
                raise InvalidValue(f"{name!r} is no variable, and no group of the condition (it names {named})")
            if index > self._most:
                raise InvalidValue(f"there is no group {name}: the condition has {self._most}")
            get = _group(index)
        return name, get, piece, int(more or 0)

    def _here(self, written: str) -> Get:
        """A source whose bytes are known before the answer."""
        name, get, piece, more = self._source(written)
        if get is None:
            raise InvalidValue(f"{name!r} can only be counted or summed, as in ${{crc32:{name}}}")
        if more:
            raise InvalidValue(f"+ and - belong to lengths, as in ${{u8:{written}}}")
        return get if piece == slice(None) else _piece(get, piece)

    def _checksum(self, name: str, rest: str) -> Part:
        checksum = CHECKSUMS[name]
        written, _, form = _split(rest)
        if form not in ("", "be", "le", "hex", "HEX"):
            raise InvalidValue(f"{form!r} is no form of a checksum: write be, le, hex or HEX")
        order: ByteOrder = {"be": "big", "le": "little"}.get(form, "big" if form else checksum.order)  # type: ignore[assignment]

        def of(data: bytes) -> bytes:
            value = checksum.of(data).to_bytes(checksum.size, order)
            if form == "hex":
                return value.hex().encode()
            return value.hex().upper().encode() if form == "HEX" else value

        source, get, piece, more = self._source(written)
        if more:
            raise InvalidValue("+ and - belong to lengths, as in ${u8:after+2}")
        if get is not None:
            return lambda context: of(get(context)[piece])
        size = len(of(b""))
        return _SelfField(
            size, is_checksum=True, fill=lambda data, at: of(bytes(_itself(source, data, at, size)[piece]))
        )

    def _integer(self, rest: str, size: int, order: ByteOrder) -> Part:
        return self._length(rest, size, lambda length: (length % (1 << 8 * size)).to_bytes(size, order))

    def _decimal(self, rest: str) -> Part:
        written, colon, digits = _split(rest)
        width = int(digits) if digits.isdigit() and len(digits) == 1 else 0
        if colon and not width:
            raise InvalidValue(f"{digits!r} is no number of digits: write 1 to 9")
        if self._source(written)[1] is None and not width:
            raise InvalidValue(f"how many digits? write ${{len:{written}:4}}")
        return self._length(written, width, lambda length: b"%0*d" % (width, max(length, 0) % 10 ** (width or 18)))

    def _length(self, written: str, size: int, write: Callable[[int], bytes]) -> Part:
        source, get, piece, more = self._source(written)
        if get is not None:
            return lambda context: write(len(get(context)[piece]) + more)
        return _SelfField(
            size, is_checksum=False, fill=lambda data, at: write(len(_itself(source, data, at, size)[piece]) + more)
        )


def _split(rest: str) -> tuple[str, str, str]:
    """A source, and the form that follows its colon; a colon inside ``[…]`` belongs to the slice."""
    end = rest.find("]") + 1
    source, colon, form = rest[end:].partition(":")
    return rest[:end] + source, colon, form


def _itself(source: str, data: bytearray, at: int, size: int) -> bytearray:
    if source == "before":
        return data[:at]
    return data[at + size :] if source == "after" else data


def _group(index: int) -> Get:
    return lambda context: context.groups[index] or b""


def _piece(get: Get, piece: slice) -> Get:
    return lambda context: get(context)[piece]


def _iso(at: int) -> str:
    second, nanoseconds = divmod(at, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06d}Z"


def _time(form: str) -> Get:
    if form == "unix":
        return lambda context: b"%d" % (context.at // 1_000_000_000)
    if form == "unix-ms":
        return lambda context: b"%d" % (context.at // 1_000_000)
    text, *pairs = _TIME_DIRECTIVE.split(form)
    literals, directives = [text, *pairs[1::2]], pairs[::2]
    if not directives or any("%" in each for each in literals):
        raise InvalidValue(f"{form!r} is no form of time: write unix, unix-ms, or as in strftime(3): %H:%M:%S")
    for directive in directives:
        if directive != "%%" and _EPOCH.strftime(directive) in (directive, ""):
            raise InvalidValue(f"{directive!r} in {form!r} is nothing that strftime(3) knows here")
    # The text between is not for strftime, which ends at a NUL and takes no byte that is not UTF-8.
    first, *rest = (each.encode("utf-8", "surrogateescape") for each in literals)
    parts = list(zip(directives, rest, strict=True))

    def written(context: Context) -> bytes:
        now = datetime.fromtimestamp(context.at // 1_000_000_000, UTC)
        return first + b"".join(now.strftime(directive).encode() + text for directive, text in parts)

    return written


def _random(name: str, rest: str) -> Get:
    if name == "random":
        low, colon, high = rest.partition(":")
        if colon and _is_integer(low) and _is_integer(high) and int(low) <= int(high):
            return lambda context: b"%d" % context.random.randint(int(low), int(high))
        raise InvalidValue("a random number is written ${random:LOWEST:HIGHEST}")
    count = int(rest) if rest.isdigit() and len(rest) < 6 else 0
    if name not in ("random-hex", "random-bytes") or not 0 < count <= _MOST_RANDOM:
        raise InvalidValue(f"${{{name}:{rest}}} is none of ${{random:1:100}}, ${{random-hex:8}}, ${{random-bytes:4}}")
    if name == "random-hex":
        return lambda context: b"%0*x" % (count, context.random.getrandbits(4 * count))
    return lambda context: context.random.randbytes(count)


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", text) is not None
