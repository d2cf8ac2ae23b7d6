"""Durations, sizes and byte strings: parsing what users write, and formatting them for display."""

import math
import re

from portside.errors import InvalidValue

_DURATION_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_EVENT_UNITS = {"": 1, "k": 1e3, "m": 1e6}
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(r"(\\(?:[nrt0\\]|x[0-9A-Fa-f]{2}))")
_WRONG_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?![nrt0\\]|x[0-9A-Fa-f]{2}).?)", re.DOTALL)
_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Read ``500ms``, ``5s``, ``2m``, ``1h`` or bare seconds; returned in seconds."""
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match[2] not in _DURATION_UNITS:
        raise InvalidValue(f"{text!r} is no duration: write 500ms, 5s, 2m, 1h or bare seconds")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if math.isinf(seconds):
        raise InvalidValue(f"{text!r} is too long a duration")
    return seconds


def parse_positive_duration(text: str) -> float:
    """Read a duration of at least a millisecond, in seconds."""
    seconds = parse_duration(text)
    if seconds < 0.001:
        raise InvalidValue("the duration must be at least 1ms")
    return seconds


def parse_size(text: str) -> int:
    """Read ``64k``, ``10M``, ``1G`` or bare bytes; powers of 1024; returned in bytes."""
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise InvalidValue(f"{text!r} is no size: write 64k, 10M, 1G or bare bytes")
    size = float(match[1]) * _SIZE_UNITS[match[2].lower()]
    if not math.isfinite(size) or size > 1 << 62:
        raise InvalidValue(f"{text!r} is too large a size")
    return int(size)


def parse_positive_size(text: str) -> int:
    """Read a size of at least one byte, in bytes."""
    size = parse_size(text)
    if size < 1:
        raise InvalidValue("the size must be at least 1 byte")
    return size


def parse_count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) < 1:
        raise InvalidValue(f"{text!r} is no count: write a whole number from 1")
    return int(text)


def parse_rate(text: str) -> float:
    """Read how often a second: ``10/s``, ``5k/s``, ``2M/s``, in thousands as events are counted; above 0."""
    match = _NUMBER_AND_UNIT.fullmatch(text.removesuffix("/s").strip())
    if match is None or not text.endswith("/s") or match[2].lower() not in _EVENT_UNITS:
        raise InvalidValue(f"{text!r} is no rate: write 10/s, 5k/s or 1M/s")
    rate = float(match[1]) * _EVENT_UNITS[match[2].lower()]
    if not 0 < rate <= 1e9:
        raise InvalidValue(f"{text!r}: a rate is above 0 and at most 1,000,000k/s")
    return rate


def parse_text(text: str) -> bytes:
    """Read text in which ``\\n``, ``\\r``, ``\\t``, ``\\0``, ``\\xHH`` and ``\\\\`` are understood; as UTF-8."""
    if wrong := _WRONG_ESCAPE.search(text):
        raise InvalidValue(f"{wrong[1]} is no escape: write \\n \\r \\t \\0 \\xHH or \\\\")
    return b"".join(
        _escaped(part[1:]) if part.startswith("\\") else part.encode("utf-8", "surrogateescape")
        for part in _ESCAPE.split(text)
    )


def _escaped(name: str) -> bytes:
    return bytes([int(name[1:], 16)]) if name[0] == "x" else _ESCAPES[name]


def parse_hex(text: str) -> bytes:
    """Read bytes in hex: ``0d0a``, ``0d 0a``."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if not data:
        raise InvalidValue(f"{text!r} is no bytes in hex: write 0d0a")
    return data


def format_duration(seconds: float) -> str:
    """Write seconds for a person: ``2.544s``, ``3m05.250s``, ``2h00m01.000s``."""
    milliseconds = round(seconds * 1000)
    whole_minutes, milliseconds = divmod(milliseconds, 60_000)
    if not whole_minutes:
        return f"{milliseconds / 1000:.3f}s"
    hours, minutes = divmod(whole_minutes, 60)
    rest = f"{milliseconds / 1000:06.3f}s"
    return f"{hours}h{minutes:02d}m{rest}" if hours else f"{minutes}m{rest}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 segment``, ``2 segments``: a count and its noun; ``plural`` where an s alone does not make it."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
