"""A log of HdrHistogram, format 1.3, whose histograms are in the compressed encoding V2.

A histogram is a header of 40 bytes and its counts, each a ZigZag LEB128 number of at most 9 bytes; a negative number is
a run of so many empty slots. That is deflated, given a header of its own and written in base64 (HdrHistogram's
``AbstractHistogram.encodeIntoCompressedByteBuffer`` and ``HistogramLogWriter``).
"""

import base64
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from portside.load.histogram import MOST_NS, SIGNIFICANT_DIGITS, Histogram

_COOKIE, _COMPRESSED_COOKIE = 0x1C849303 | 0x10, 0x1C849304 | 0x10
_HEADER = struct.Struct(">iiiiqqd")  # cookie, payload bytes, normalizing offset, digits, lowest, highest, ratio
_COMPRESSED_HEADER = struct.Struct(">ii")
_NS_IN_MS = 1e6


def log_lines(began_wall_ns: int, duration_ns: int, histograms: dict[str, Histogram]) -> Iterator[str]:
    """The lines of a log: one interval, the whole run, with a tagged histogram each; values are nanoseconds."""
    began_s = began_wall_ns / 1e9
    started = datetime.fromtimestamp(began_s, UTC).isoformat(timespec="milliseconds")
    yield "#[Histogram log format version 1.3]"
    yield f"#[StartTime: {began_s:.3f} (seconds since epoch), {started}]"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
    for tag, histogram in histograms.items():
        largest_ms = (histogram.largest or 0) / _NS_IN_MS
        yield f"Tag={tag},0.000,{duration_ns / 1e9:.3f},{largest_ms:.3f},{encoded(histogram)}"


def encoded(histogram: Histogram) -> str:
    """A histogram in the compressed encoding V2, base64."""
    payload = b"".join(_numbers(histogram))
    plain = _HEADER.pack(_COOKIE, len(payload), 0, SIGNIFICANT_DIGITS, 1, MOST_NS, 1.0) + payload
    packed = zlib.compress(plain)
    return base64.b64encode(_COMPRESSED_HEADER.pack(_COMPRESSED_COOKIE, len(packed)) + packed).decode("ascii")


def _numbers(histogram: Histogram) -> Iterator[bytes]:
    """The counts up to the last that is not 0, and runs of zeros as negative numbers."""
    reached = 0
    for slot in np.flatnonzero(histogram.counts).tolist():
        if slot > reached:
            yield zigzag(-(slot - reached))
        yield zigzag(int(histogram.counts[slot]))
        reached = slot + 1


def zigzag(number: int) -> bytes:
    """A signed 64-bit number as ZigZag LEB128; the ninth byte has eight bits of it."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest >= 0x80 and len(out) < 8:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
