"""``reset-unread``: programs close connections with unread data, so that the kernel resets them.

close(2) with data in the receive buffer sends RST instead of FIN (RFC 2525, section 2.17; ``__tcp_close``), counted as
TCPAbortOnClose. The peer may lose an answer that it has not read yet.

Thresholds: any is *info*; 20 within the window, in at least 6 observations, a warning; proposed here. A program that is
killed resets all its connections at once, which one or two observations see: that is *info*, also where it comes back
and is killed again every few seconds.
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, rate

_ABORTS = "TcpExt.TCPAbortOnClose"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How many connections were reset so."""
    aborted = view.grown(_ABORTS)
    if aborted < 1:
        return
    rounds = view.rounds(_ABORTS)
    yield Verdict(
        severity="warning" if aborted >= limits["resets"] and rounds >= limits["observations"] else "info",
        summary=f"{counted(aborted, 'connection')} closed with unread data in {view.window_s:.0f}s, and so reset.",
        evidence={"reset": aborted, "each_second": rate(aborted, view.window_s), "observations_with_resets": rounds,
                  "window_s": round(view.window_s, 1)},
        why="A program called close() before it had read all that had come. The kernel answers with a reset, and the "
        "peer may lose the end of an answer that was sent before.",
        remedy="read to the end first: shutdown(SHUT_WR), then recv() until it returns 0, then close(). A server "
        "that refuses a request early should do the same.",
        affected=aborted,
        unseen=("which program: the kernel counts for the whole machine",),
    )  # fmt: skip


RULE = MachineRule(
    code="reset-unread",
    sentence="Programs close connections before they have read everything, which resets them.",
    thresholds=(
        Threshold("resets", 20, "count", "resets within the window: a warning, if"),
        Threshold("observations", 6, "count", "observations of the window saw some"),
    ),
    counters=(_ABORTS,),
    look=look,
)
