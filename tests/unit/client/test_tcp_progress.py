"""How long nothing has moved, and what is under way."""

import socket
import struct
import time
from contextlib import suppress
from itertools import islice

from support import DEADLINE_S, wait_until

from portside.client.tcp_progress import (
    StallTimer,
    acked_and_received,
    backoff,
    is_reset,
    pending_error,
    unacknowledged,
)


def test_quiet_begins_anew_with_each_movement() -> None:
    counters = [0]
    quiet = StallTimer(lambda: counters[0], time.monotonic() - 100)
    assert quiet.seconds() >= 100
    counters[0] = 1
    assert quiet.seconds() == 0
    assert quiet.seconds() < 100


def test_pauses_grow_to_a_bound() -> None:
    assert list(islice(backoff(), 8)) == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.032, 0.032]


def test_the_kernels_counts() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), DEADLINE_S) as here,
    ):
        there, _ = listener.accept()
        with there:
            before, _ = acked_and_received(here)
            here.sendall(b"x" * 1000)
            there.sendall(b"y" * 7)
            wait_until(lambda: unacknowledged(here) == 0, "acknowledgement")
            acknowledged, _ = acked_and_received(here)
            assert acknowledged - before == 1000
            wait_until(lambda: acked_and_received(here)[1] == 7, "arrival")


def test_what_a_peer_does_not_take_is_unacknowledged() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname(), DEADLINE_S) as here:
            here.setblocking(False)
            sent = 0
            with suppress(BlockingIOError):
                while True:
                    sent += here.send(b"x" * 65_536)
            assert 0 < unacknowledged(here) < sent


def test_unix_sockets_have_nothing_under_way() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"unread")
        assert unacknowledged(one) == 0
        assert acked_and_received(one) == ()


def test_a_pending_error_is_taken_away() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), DEADLINE_S) as here,
    ):
        there, _ = listener.accept()
        assert pending_error(here) is None
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        there.close()
        error = wait_until(lambda: pending_error(here), "the reset")
        assert is_reset(error)
        assert pending_error(here) is None


def test_what_is_a_reset() -> None:
    assert is_reset(ConnectionResetError(104, ""))
    assert is_reset(BrokenPipeError(32, ""))
    assert not is_reset(TimeoutError(110, ""))
