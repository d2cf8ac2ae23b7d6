"""Tables and pictures made by hand."""

from unit.kernel.messages import socket_message

from portside.kernel.decoder import decode
from portside.kernel.table import SocketTable
from portside.tui.snapshot_diff import SnapshotDiff, ViewState


def made(*messages: bytes) -> SocketTable:
    """A table of these messages."""
    return decode(b"".join(messages)).table


def numbered(*numbers: int) -> SocketTable:
    """Sockets that have a number as cookie, remote port and inode."""
    return made(
        *(socket_message(cookie=number, remote=("127.0.0.1", number % 65536), inode=number) for number in numbers)
    )


class Looks:
    """A follower that is shown tables, one a second."""

    def __init__(self) -> None:
        self.diff = SnapshotDiff()
        self.now = 100.0

    def __call__(self, table: SocketTable, after_s: float = 1.0) -> ViewState:
        self.now += after_s
        self.diff.ages(table, self.now)
        return self.diff.compare(table, "netlink", (), self.now)


def shown(view: ViewState) -> dict[int, set[str]]:
    """The marks of each socket that is shown, by its key; ``gone`` for those that fade."""
    import numpy as np

    lines = view.rows(np.arange(len(view.keys)))
    return {line.key: {"gone"} if line.gone_s is not None else set(line.marked) for line in lines}
