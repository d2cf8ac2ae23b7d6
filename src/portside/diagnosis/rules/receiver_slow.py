"""``receiver-slow``: the program on this machine does not read what has arrived.

Recv-Q is what the program has not read (``rcv_nxt - copied_seq``). When the memory of the receive buffer is half taken,
the window that the peer sees shrinks, and then closes. What the program has read is the growth of bytes_received less
that of Recv-Q.

Thresholds: half of the buffer, nothing read for 5 s, and 30 s for fewer bytes, are proposed here. A program that reads
slowly and goes on is *info*.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import Numbers, View, share
from portside.diagnosis.words import amount, counted, duration

_HALF, _STILL = "receiver-slow half full", "receiver-slow still"
_SEEN_S = 2.0  # that nothing is read must be seen for as long, however long the kernel says that nothing has come


def select(view: View, limits: Thresholds) -> Mask:
    """Connections whose receive buffer is half full, or of which nothing has been read for long."""
    open_ = unread(view)
    if not open_.any():
        return open_
    full = open_ & (buffer_share(view) >= limits["share"])
    full_s = view.held_s(_HALF, full)
    read = view.read_bytes()
    still_s = view.held_s(_STILL, open_ & ~(read > 0))
    mask: Mask = (full & (full_s >= _SEEN_S)) | (still_s >= limits["unread"])
    return mask


def unread(view: View) -> Mask:
    """Connections of programs that have not read all of what has come."""
    inodes, known = view.column("inode")
    waits = view.is_in(tcp_states.ESTABLISHED, tcp_states.FIN_WAIT1, tcp_states.FIN_WAIT2)
    mask: Mask = waits & (view.numbers("recv_q") > 0) & (inodes != 0) & known
    return mask


def buffer_share(view: View) -> Numbers:
    """How much of each receive buffer is taken: of its memory, or where that is not known, of its bytes."""
    taken = np.fmax(view.numbers("rmem_alloc"), view.numbers("recv_q"))
    return share(taken, view.numbers("rcvbuf"))


def still_s(group: SubjectGroup) -> Numbers:
    """For how long nothing has been read: as seen, and where the buffer is full as long as nothing has come."""
    seen = group.held(_STILL)
    silent = np.where(group.held(_HALF) >= 0, group.numbers("last_data_recv_ms") / 1e3, np.nan)
    return np.where(seen >= _SEEN_S, np.fmax(seen, silent), seen)


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How much waits to be read, and for how long nothing was."""
    queued, still = group.numbers("recv_q"), still_s(group)
    stuck = (still >= limits["still"]) & (group.held(_HALF) >= _SEEN_S)
    longest = max(float(np.max(still)), 0.0)
    reads = f"it has read nothing for {duration(longest)}" if longest >= _SEEN_S else "it reads, but slowly"
    return Verdict(
        severity="warning" if stuck.any() else "info",
        summary=f"{group.program} leaves {amount(float(np.nansum(queued)))} unread on "
        f"{counted(len(group), 'connection')}: {reads}.",
        evidence={
            "connections": len(group),
            "stuck": int(stuck.sum()),
            "recv_q_bytes": int(np.nansum(queued)),
            "largest_recv_q_bytes": int(np.nanmax(queued)),
            "nothing_read_for_s": round(longest, 1),
            "buffer_bytes": int(group.largest("rcvbuf")),
        },
        why="What arrives waits in the receive buffer (Recv-Q). When that is full the window closes, and the peer "
        "must stop sending: the delay is in this program, not in the network.",
        remedy=f"see what the program waits for (`strace -p {group.subject.pid or 'PID'}`, its stack, a lock, its own "
        "output); read in a loop of its own; a larger buffer only puts it off.",
    )


RULE = SocketRule(
    code="receiver-slow",
    sentence="A program on this machine does not read what has arrived for it.",
    thresholds=(
        Threshold("share", 0.5, "share", "of the receive buffer that is taken"),
        Threshold("still", 5, "s", "without anything read while it is: a warning; while something is read: info"),
        Threshold("unread", 30, "s", "without anything read of a smaller rest: info"),
    ),
    by=By.PROGRAM,
    columns=("recv_q",),
    select=select,
    describe=describe,
)
