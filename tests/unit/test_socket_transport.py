"""The transport of the epoll engine, on real sockets: what it reads, sends, buffers and says of its end."""

import asyncio
import gc
import os
import select
import socket
import struct
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from portside.server import socket_transport
from portside.server.poller import SocketPoller
from portside.server.socket_transport import FULL_READS_PER_TURN, HIGH_BYTES, LARGE_READ_BYTES, SocketTransport

DEADLINE_S = 20
RESET = struct.pack("ii", 1, 0)


class User(asyncio.Protocol):
    """Notes what it is told; each hook may do something in the middle of it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""
        self.error: Exception | None = None
        self.stays = False
        self.changed = asyncio.Event()
        self.on_made: Callable[[], None] = lambda: None
        self.on_data: Callable[[bytes], None] = lambda _data: None
        self.on_pause: Callable[[], None] = lambda: None
        self.transport: SocketTransport

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._tell("made")
        self.on_made()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._tell("data")
        self.on_data(data)

    def eof_received(self) -> bool:
        self._tell("eof")
        return self.stays

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._tell("lost")

    def pause_writing(self) -> None:
        self._tell("pause")
        self.on_pause()

    def resume_writing(self) -> None:
        self._tell("resume")

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def until_told(self, what: str) -> None:
        await self.until(lambda: what in self.told)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, peer


@asynccontextmanager
async def connected(
    user: User, *, before: Callable[[socket.socket], None] | None = None
) -> AsyncIterator[socket.socket]:
    """A started transport of ``user``; the other end. ``before`` acts on that before the transport is started."""
    loop = asyncio.get_running_loop()
    poller = SocketPoller(loop)
    ours, peer = tcp_pair()
    if before is not None:
        before(peer)
    ours.setblocking(False)
    peer.setblocking(False)
    transport = SocketTransport(poller, ours.detach(), user)
    try:
        transport.start()
        yield peer
    finally:
        transport.abort()
        await user.until_told("lost")
        poller.close()
        peer.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await test()

    asyncio.run(bounded())


async def read_to_the_end(peer: socket.socket) -> bytes:
    data = bytearray()
    while piece := await asyncio.get_running_loop().sock_recv(peer, 1 << 20):
        data += piece
    return bytes(data)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_socket_that_always_has_more_leaves_its_turn_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        user = User()
        async with connected(user):
            sizes: list[int] = []

            def always_full(_fd: int, most: int) -> bytes:
                sizes.append(most)
                return bytes(most)

            with monkeypatch.context() as patch:
                patch.setattr(socket_transport, "read", always_full)
                user.transport.ready(select.EPOLLIN)
                assert len(sizes) == 1  # a small read is followed by none
                user.transport.ready(select.EPOLLIN)
            assert sizes[1:] == [LARGE_READ_BYTES] * FULL_READS_PER_TURN
            assert len(user.data) == sum(sizes)

    run(test)


def test_what_came_before_the_start_is_read_without_registering() -> None:
    async def test() -> None:
        user = User()

        def send_all(peer: socket.socket) -> None:
            peer.sendall(b"hello\n")
            peer.shutdown(socket.SHUT_WR)

        async with connected(user, before=send_all):
            assert user.told[:3] == ["made", "data", "eof"]
            assert user.transport._events == -1
            await user.until_told("lost")
        assert user.data == b"hello\n"
        assert user.error is None

    run(test)


def test_lost_comes_after_the_call_that_closes() -> None:
    async def test() -> None:
        user = User()
        user.on_data = lambda _data: user.transport.close()
        async with connected(user) as peer:
            peer.send(b"x")
            await user.until_told("lost")
            assert user.told == ["made", "data", "lost"]
            assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""

    run(test)


def test_closing_in_connection_made_reads_nothing() -> None:
    async def test() -> None:
        user = User()
        user.on_made = lambda: SocketTransport.close(user.transport)
        async with connected(user, before=lambda peer: peer.sendall(b"x")):
            await user.until_told("lost")
        assert user.told == ["made", "lost"]

    run(test)


def test_half_close_both_ways() -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        async with connected(user) as peer:
            peer.sendall(b"question")
            peer.shutdown(socket.SHUT_WR)
            await user.until_told("eof")
            user.transport.write(b"answer")
            user.transport.write_eof()
            user.transport.write(b"too late")
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(peer, 100) == b"answer"
            assert await loop.sock_recv(peer, 100) == b""
            assert not user.transport.is_closing()
            user.transport.close()
            await user.until_told("lost")
        assert user.error is None

    run(test)


def test_a_reset_after_fin_is_heard_of() -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        async with connected(user) as peer:
            peer.shutdown(socket.SHUT_WR)
            await user.until_told("eof")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            await user.until_told("lost")
        assert isinstance(user.error, ConnectionResetError | BrokenPipeError)

    run(test)


def test_what_came_before_a_reset_is_read_when_reading_goes_on() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.sendall(b"last words")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            for _ in range(20):  # turns in which the reset is there and reading is paused
                await asyncio.sleep(0)
            assert user.told == ["made"]
            user.transport.resume_reading()
            await user.until_told("lost")
        assert user.data == b"last words"
        assert isinstance(user.error, ConnectionResetError)

    run(test)


def test_what_came_before_a_reset_is_read_although_the_buffer_was_full_and_reading_paused() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.pause_reading()
            user.transport.write(bytes(8 << 20))
            peer.sendall(b"last words")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            await user.until_told("resume")  # nothing is buffered any more: the write has failed
            assert user.told == ["made", "pause", "resume"]
            assert user.transport.get_write_buffer_size() == 0
            user.transport.resume_reading()
            await user.until_told("lost")
            assert user.data == b"last words"
        assert isinstance(user.error, ConnectionResetError)

    run(test)


def test_what_came_before_a_reset_is_read_when_reading_pauses_after_a_failed_write() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.sendall(b"last words")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            user.transport.resume_reading()
            user.transport.write(b"x")
            user.transport.pause_reading()
            for _ in range(20):
                await asyncio.sleep(0)
            assert user.told == ["made"]
            user.transport.resume_reading()
            await user.until_told("lost")
            assert user.data == b"last words"
            assert user.transport.get_write_buffer_size() == 1  # what the write has lost

    run(test)


def test_what_came_before_a_reset_is_read_although_our_fin_cannot_be_sent() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.sendall(b"last words")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            user.transport.resume_reading()
            user.transport.write_eof()
            await user.until_told("lost")
        assert user.data == b"last words"
        assert isinstance(user.error, ConnectionResetError)

    run(test)


def test_a_fin_before_the_reset_is_told() -> None:
    async def test() -> None:
        user = User()
        user.stays = True

        def answer(data: bytes) -> None:
            user.transport.write(data)  # what comes back for it is a reset

        user.on_data = answer
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.sendall(bytes(64 * 1024))
            peer.close()
            user.transport.resume_reading()
            await user.until_told("lost")
        assert len(user.data) == 64 * 1024
        assert user.told[-2:] == ["eof", "lost"]
        assert isinstance(user.error, BrokenPipeError)

    run(test)


def test_a_paused_socket_that_was_reset_does_not_keep_the_loop_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            left = asyncio.Event()
            unregister = user.transport._poller.unregister

            def note_unregister(fd: int) -> None:
                unregister(fd)
                left.set()

            monkeypatch.setattr(user.transport._poller, "unregister", note_unregister)
            async with asyncio.timeout(DEADLINE_S):
                await left.wait()
            assert user.told == ["made"]

    run(test)


def test_a_large_write_is_buffered_with_marks_and_arrives_whole() -> None:
    async def test() -> None:
        user = User()
        sent = os.urandom(6 << 20)
        async with connected(user) as peer:
            user.transport.write(sent[: 5 << 20])
            assert user.told[-1] == "pause"
            assert user.transport.get_write_buffer_size() > HIGH_BYTES
            for at in range(5 << 20, len(sent), 10_000):
                user.transport.write(memoryview(sent)[at : at + 10_000])
            user.transport.close()
            assert user.transport.is_closing()
            assert await read_to_the_end(peer) == sent
            await user.until_told("lost")
            assert user.told.count("pause") == 1

    run(test)


def test_the_user_is_told_when_it_may_write_again() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.write(bytes(8 << 20))
            assert user.told[-1] == "pause"
            loop = asyncio.get_running_loop()
            left = 8 << 20
            while left:
                left -= len(await loop.sock_recv(peer, 1 << 20))
            await user.until_told("resume")
            assert user.transport.get_write_buffer_size() == 0

    run(test)


def test_fin_follows_what_is_buffered() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.write(bytes(8 << 20))
            user.transport.write_eof()
            assert len(await read_to_the_end(peer)) == 8 << 20
            assert "lost" not in user.told
            peer.sendall(b"still heard")
            await user.until_told("data")

    run(test)


def test_abort_drops_what_is_buffered_and_linger_zero_resets() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.write(bytes(8 << 20))
            user.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            user.transport.abort()
            await user.until_told("lost")
            with pytest.raises(ConnectionResetError):
                await read_to_the_end(peer)
        assert user.error is None
        assert user.transport.get_extra_info("socket") is None

    run(test)


def test_a_failed_write_is_told_once_and_later() -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        async with connected(user) as peer:
            peer.shutdown(socket.SHUT_WR)
            await user.until_told("eof")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            user.transport.write(b"x")
            user.transport.write(b"x")
            assert "lost" not in user.told
            await user.until_told("lost")
        assert isinstance(user.error, ConnectionResetError | BrokenPipeError)
        assert user.told.count("lost") == 1

    run(test)


def test_large_reads_follow_full_ones() -> None:
    async def test() -> None:
        user = User()
        sizes: list[int] = []
        user.on_data = lambda data: sizes.append(len(data))
        async with connected(user) as peer:
            user.transport.pause_reading()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            sent = 0
            try:
                while sent < 2 << 20:
                    sent += peer.send(bytes(1 << 20))
            except BlockingIOError:
                pass
            user.transport.resume_reading()
            await user.until(lambda: len(user.data) == sent)
        assert max(sizes) > 16 * 1024
        assert max(sizes) <= LARGE_READ_BYTES

    run(test)


def test_a_user_that_raises_is_ended_and_the_others_are_served() -> None:
    async def test() -> None:
        broken, healthy = User(), User()

        def fail(_data: bytes) -> None:
            raise RuntimeError("a bug of the user")

        broken.on_data = fail
        reports: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        async with connected(broken) as one, connected(healthy) as other:
            one.sendall(b"x")
            other.sendall(b"y")
            await broken.until_told("lost")
            await healthy.until_told("data")
        assert len(reports) == 1
        assert isinstance(reports[0]["exception"], RuntimeError)
        assert isinstance(broken.error, RuntimeError)

    run(test)


def test_an_error_of_pause_writing_is_not_the_writers() -> None:
    async def test() -> None:
        user = User()

        def fail() -> None:
            raise RuntimeError("a bug of the user")

        user.on_pause = fail
        reports: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        async with connected(user):
            user.transport.write(bytes(8 << 20))
            await user.until_told("lost")
        assert [type(report["exception"]) for report in reports] == [RuntimeError]
        assert isinstance(user.error, RuntimeError)

    run(test)


def test_a_write_after_the_poller_is_closed_ends_quietly() -> None:
    async def test() -> None:
        user = User()
        poller = SocketPoller(asyncio.get_running_loop())
        ours, peer = tcp_pair()
        ours.setblocking(False)
        transport = SocketTransport(poller, ours.detach(), user)
        transport.start()
        poller.close()
        with peer:
            transport.write(bytes(8 << 20))
            await user.until_told("lost")
        assert user.error is None

    run(test)


@pytest.mark.parametrize("resets", [False, True])
def test_a_lost_connection_is_freed_without_the_collector(resets: bool) -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        async with connected(user) as peer:
            peer.sendall(b"x")
            await user.until_told("data")
            if resets:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                peer.close()
                await user.until_told("lost")
        user.error = None
        freed, of_transport = weakref.ref(user), sys.getrefcount(user.transport)
        transport = user.transport  # it lives on, and must not hold its user
        del user
        assert freed() is None
        assert of_transport == 2  # that of the user, and the argument
        assert transport.is_closing()

    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()


def test_what_the_peer_sent_before_it_closed_is_read_although_writing_fails() -> None:
    async def test() -> None:
        user = User()
        async with connected(user) as peer:
            user.transport.write(bytes(8 << 20))
            peer.sendall(b"last words")
            peer.close()  # with our bytes unread: a reset
            await user.until_told("lost")
        assert user.data == b"last words"
        assert isinstance(user.error, ConnectionResetError | BrokenPipeError)

    run(test)


def test_a_connection_that_both_sides_have_ended_waits_for_its_user() -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        async with connected(user) as peer:
            user.transport.write_eof()
            peer.shutdown(socket.SHUT_WR)
            await user.until_told("eof")
            for _ in range(20):  # turns in which epoll reports that both have ended
                await asyncio.sleep(0)
            assert "lost" not in user.told
            user.transport.close()
            await user.until_told("lost")
        assert user.error is None

    run(test)


@pytest.mark.parametrize("hook", ["on_made", "on_data"])
def test_an_error_in_the_first_turn_ends_that_connection_alone(hook: str) -> None:
    async def test() -> None:
        broken = User()

        def fail(*_: object) -> None:
            raise RuntimeError("a bug of the user")

        setattr(broken, hook, fail)
        reports: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        async with connected(broken, before=lambda peer: peer.sendall(b"x")):
            await broken.until_told("lost")
        assert [type(report["exception"]) for report in reports] == [RuntimeError]

    run(test)


def test_a_unix_peer_that_is_gone_is_noticed_after_its_end() -> None:
    async def test() -> None:
        user = User()
        user.stays = True
        loop = asyncio.get_running_loop()
        poller = SocketPoller(loop)
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        transport = SocketTransport(poller, ours.detach(), user)
        transport.start()
        peer.shutdown(socket.SHUT_WR)
        await user.until_told("eof")
        assert "lost" not in user.told
        peer.close()
        await user.until_told("lost")
        poller.close()

    run(test)


def test_no_descriptor_is_left_open() -> None:
    before = descriptors()

    async def test() -> None:
        for _ in range(10):
            user = User()
            async with connected(user) as peer:
                peer.sendall(b"x")
                await user.until_told("data")

    run(test)
    assert descriptors() == before
