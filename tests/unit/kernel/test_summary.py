"""A table in a few numbers."""

from unit.kernel.messages import LISTEN, TIME_WAIT, socket_message
from unit.kernel.stored import table

from portside.kernel.decoder import decode
from portside.kernel.models import Owner
from portside.kernel.summary import Summary, summarize
from portside.kernel.table import SocketTable, Unavailable


def test_counts_and_totals() -> None:
    sockets = decode(
        socket_message(state=LISTEN, queues=(8, 7), inode=1)
        + socket_message(state=LISTEN, queues=(7, 7), inode=2)
        + socket_message(queues=(10, 20), inode=3)
        + socket_message(queues=(1, 2), inode=4, remote=("10.0.0.1", 5))
        + socket_message(state=TIME_WAIT, inode=0, timer=(3, 9, 0))
        + socket_message(state=12, inode=0)
        + socket_message(state=3, inode=0)
        + socket_message(local=("::ffff:10.0.0.2", 1), remote=("::ffff:10.0.0.1", 6), inode=5)
    ).table
    shared = (Owner(5, "nginx", 3), Owner(6, "nginx", 3), Owner(7, "cat", 0))
    assert summarize(sockets.with_owners({1: shared, 3: shared[:1]})) == Summary(
        total=8,
        states={"ESTABLISHED": 3, "LISTEN": 2, "SYN_RECV": 2, "TIME_WAIT": 1},
        programs={None: 6, "nginx": 2, "cat": 1},
        peers={"127.0.0.1": 4, "10.0.0.1": 2},
        recv_q=11,
        send_q=22,
        waiting=15,
        full=1,
    )


def test_what_the_source_does_not_tell_is_not_counted() -> None:
    plain = table("plain4")
    counted = summarize(
        SocketTable(plain.base, plain.message, plain.layout, unavailable=(Unavailable(("send_q",), None, "no"),))
    )
    assert (counted.programs, counted.send_q, counted.full) == (None, None, None)
    assert counted.waiting == 1
    assert counted.recv_q == 1020


def test_nothing() -> None:
    assert summarize(decode(b"").table) == Summary(0, {}, None, {}, 0, 0, 0, 0)
