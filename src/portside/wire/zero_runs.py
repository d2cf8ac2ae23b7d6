"""Runs of NUL bytes in a short form, with a multiplication sign: 2,000 of them are shown as ``\\0\u00d72000``.

1. A run of ``FEWEST`` or more NULs is shortened; fewer are shown as they are, ``\\0\\0``.
2. ``\\0`` and the sign stand for a run alone. A sign that the data itself has behind a NUL, or behind the text ``\\0``,
   is shown as an escape, ``\\u00d7``.
3. The number ends where the digits end: a digit that follows a run in the data is shown as its byte, ``\\x35``.

The data is changed before it is escaped, since the short form is printable text, which no escape changes. Each of the
two expressions begins with a literal: where nothing is to be done, a search for that is all that it costs.
"""

import re
from typing import Final

FEWEST: Final = 5
RUN: Final = bytes(FEWEST)  # what data has to contain for a run to be in it
TIMES: Final = "\u00d7".encode()
CONTEXT_BYTES: Final = FEWEST  # of ``before``

_RUN: Final = re.compile(rb"(%b\0*[0-9]?)" % (rb"\0" * FEWEST))
_MISTAKABLE: Final = re.compile(rb"%b(?:(?<=\0%b)|(?<=\\0%b))" % (TIMES, TIMES, TIMES))
_ESCAPED_TIMES: Final = rb"\\u00d7"  # as re reads it: one backslash


def shorten_zeros(data: bytes) -> bytes:
    """The data with its runs shortened, to be escaped next."""
    between, forms = split_runs(escape_mistakable(data))
    return join_runs(between, forms)


def split_runs(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """The pieces between the runs, one piece more than there are runs, and the short form of each run."""
    pieces = _RUN.split(data)
    runs = pieces[1::2]
    forms = {run: _short_form(run) for run in set(runs)}  # in binary numbers the same few stand again and again
    return pieces[::2], list(map(forms.__getitem__, runs))


def join_runs(between: list[bytes], forms: list[bytes]) -> bytes:
    """The pieces that ``split_runs`` made, put together."""
    pieces = [b""] * (len(between) + len(forms))
    pieces[::2], pieces[1::2] = between, forms
    return b"".join(pieces)


def escape_mistakable(data: bytes) -> bytes:
    """The data, with an escape for each multiplication sign that would be taken for that of a run."""
    return _MISTAKABLE.sub(_ESCAPED_TIMES, data)


def has_mistakable(data: bytes) -> bool:
    """Whether data has a multiplication sign of its own where the one of a run would stand."""
    return _MISTAKABLE.search(data) is not None


def separate(before: bytes, data: bytes) -> bytes:
    """The data, with an escape at its beginning where it would be taken for a part of what stands before it.

    ``before`` are the last ``CONTEXT_BYTES`` bytes that are shown on the same line already.
    """
    if before.endswith(RUN) and data[:1].isdigit():  # bytes.isdigit knows those of ASCII alone
        return escaped_digit(data[0]) + data[1:]
    before = before[-2:]  # no sign of its own, which would be changed again
    return _MISTAKABLE.sub(_ESCAPED_TIMES, before + data[:4])[len(before) :] + data[4:]


def escaped_digit(byte: int) -> bytes:
    """A digit behind a run."""
    return b"\\x%02x" % byte


def _short_form(run: bytes) -> bytes:
    last = run[-1]
    if last:
        return b"\\0%b%d%b" % (TIMES, len(run) - 1, escaped_digit(last))
    return b"\\0%b%d" % (TIMES, len(run))
