"""Tables and pictures made by hand."""

from unit.kernel.messages import socket_message

from portside.kernel.diag import decode
from portside.kernel.table import SocketTable
from portside.tui.follow import Follower, Picture


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
        self.follower = Follower()
        self.now = 100.0

    def __call__(self, table: SocketTable, after_s: float = 1.0) -> Picture:
        self.now += after_s
        self.follower.ages(table, self.now)
        return self.follower.follow(table, "netlink", (), self.now)


def shown(picture: Picture) -> dict[int, set[str]]:
    """The marks of each socket that is shown, by its key; ``gone`` for those that fade."""
    import numpy as np

    lines = picture.lines(np.arange(len(picture.keys)))
    return {line.key: {"gone"} if line.gone_s is not None else set(line.marked) for line in lines}
