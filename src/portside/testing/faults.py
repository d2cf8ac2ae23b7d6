"""Faults as values: what ``--fault`` takes as text, with names and types that an editor and a type checker know.

    tcp_server_factory(faults=[faults.latency(0.2, jitter=0.05), faults.reset(at=1024, direction="out")])

Durations are in seconds or text such as ``"50ms"``, sizes in bytes or text such as ``"10k"``. All functions take the
keywords of ``When``; they raise TypeError for any other, and ValueError for those that the fault does not know and for
values out of bounds.
"""

from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from portside.testing.script import as_fault
from portside.units import parse_duration, parse_size
from portside.wire.faults.model import FaultSpec

if TYPE_CHECKING:
    from portside.api.options import Duration, Size


class When(TypedDict, total=False):
    """When and where a fault acts, and on which connections."""

    at: "Size"
    """After so many bytes of a direction."""
    after: "Duration"
    """So long after the connection has opened."""
    lasts: "Duration"
    """For so long; otherwise to the end."""
    direction: Literal["in", "out", "both"]
    """What the client sends, what it is sent, or both."""
    upstream: bool
    """On the connection of a proxy to its upstream server."""
    p: float
    """On a connection with this probability."""
    first: int
    """On the first so many connections."""
    every: int
    """On each so manieth connection."""
    net: str
    """On connections from this network."""


def latency(delay: "Duration", *, jitter: "Duration" = 0.0, **when: Unpack[When]) -> FaultSpec:
    """Delay what passes, by up to ``jitter`` more or less; it stays in order."""
    return _make("latency", _duration(delay), ["jitter", _duration(jitter)] if jitter else [], when)


def rate(bytes_per_s: "Size", **when: Unpack[When]) -> FaultSpec:
    """Limit the throughput."""
    return _make("rate", f"{_size(bytes_per_s)}/s", [], when)


def slices(smallest: int, largest: int | None = None, *, gap: "Duration" = 0.0, **when: Unpack[When]) -> FaultSpec:
    """Cut the stream into pieces of these sizes, at least ``gap`` apart."""
    sizes = f"{smallest}..{smallest if largest is None else largest}"
    return _make("slice", sizes, ["gap", _duration(gap)] if gap else [], when)


def drop(**when: Unpack[When]) -> FaultSpec:
    """Discard what passes."""
    return _make("drop", "", [], when)


def corrupt(probability: float, **when: Unpack[When]) -> FaultSpec:
    """Invert one bit of a byte, with this probability for each byte."""
    return _make("corrupt", _share(probability), [], when)


def stall(**when: Unpack[When]) -> FaultSpec:
    """Hold back all that passes."""
    return _make("stall", "", [], when)


def limit(most: "Size") -> FaultSpec:
    """Close the connection at the first byte beyond so many."""
    return _make("limit", _size(most), [], {})


def half_close(**when: Unpack[When]) -> FaultSpec:
    """Send FIN; the client may go on sending."""
    return _make("half-close", "", [], when)


def close(**when: Unpack[When]) -> FaultSpec:
    """Close the connection."""
    return _make("close", "", [], when)


def reset(**when: Unpack[When]) -> FaultSpec:
    """Send RST."""
    return _make("reset", "", [], when)


def refuse(**when: Unpack[When]) -> FaultSpec:
    """Reset a client as soon as it is accepted."""
    return _make("refuse", "", [], when)


def accept_delay(delay: "Duration") -> FaultSpec:
    """Accept one client at a time, after so long in the backlog."""
    return _make("accept-delay", _duration(delay), [], {})


def never_accept(**when: Unpack[When]) -> FaultSpec:
    """Leave clients in the backlog."""
    return _make("never-accept", "", [], when)


def _make(kind: str, argument: str, clauses: list[str], when: When) -> FaultSpec:
    if unknown := set(when) - set(When.__annotations__):
        names = ", ".join(When.__annotations__)
        raise TypeError(f"{kind} does not take {', '.join(sorted(unknown))}: it takes {names}")
    words = [kind, *([argument] if argument else []), *clauses]
    if "at" in when:
        words += ["at", _size(when["at"])]
    if "after" in when:
        words += ["after", _duration(when["after"])]
    if "lasts" in when:
        words += ["for", _duration(when["lasts"])]
    if "direction" in when:
        words.append(when["direction"])
    if when.get("upstream"):
        words.append("upstream")
    if "p" in when:
        words.append(f"p={_share(when['p'])}")
    words += [f"{key}={when[key]}" for key in ("first", "every", "net") if key in when]
    return as_fault(" ".join(words))


def _share(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _duration(value: "Duration") -> str:
    return f"{parse_duration(str(value)) * 1000:.6f}".rstrip("0").rstrip(".") + "ms"


def _size(value: "Size") -> str:
    return str(parse_size(str(value)))
