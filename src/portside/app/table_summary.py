"""The summary of the socket table as text: the number of sockets in total, by state, by program and by peer."""

from collections.abc import Iterable, Iterator

from portside.app.cell_text import program_text
from portside.kernel.summary import summarize
from portside.kernel.table import SocketTable


def summary_text(table: SocketTable, *, most: int | None = None) -> Iterator[bytes]:
    """The summary in pieces. ``most`` programs and peers are listed, those with the most sockets; None: all.

    Programs are left out where they were not looked up.
    """
    summary = summarize(table)
    listeners = summary.states.get("LISTEN", 0)
    yield (
        f"Sockets: {summary.total}\n"
        f"Received and not read: {_count(summary.recv_q, 'B')}\n"
        f"Sent and not acknowledged: {_count(summary.send_q, 'B')}\n"
    ).encode()
    if listeners:
        yield (
            f"Listeners: {listeners}, with a full queue: {_count(summary.full)}; "
            f"connections that wait to be accepted: {_count(summary.waiting)}\n"
        ).encode()
    yield _block("State", summary.states.items(), None)
    if summary.programs is not None:
        programs = ((program_text(name), count) for name, count in summary.programs.items())
        yield _block("Program", programs, most)
    yield _block("Peer", summary.peers.items(), most)


def _count(count: int | None, unit: str = "") -> str:
    return "unknown" if count is None else f"{count} {unit}".rstrip()


def _block(name: str, counts: Iterable[tuple[str, int]], most: int | None) -> bytes:
    """A table of two columns, the largest count first."""
    ranked = sorted(counts, key=lambda item: (-item[1], item[0]))
    shown = ranked[:most]
    lines = ["", f"{'Sockets':>8}  {name}", *(f"{count:>8}  {text}" for text, count in shown)]
    if rest := ranked[len(shown) :]:
        lines.append(f"{sum(count for _, count in rest):>8}  … in {len(rest)} more")
    return "\n".join((*lines, "")).encode()
