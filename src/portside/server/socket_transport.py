"""A connected stream socket, read and written directly when the poller says that it is ready.

It offers what connections, TLS and faults use of ``asyncio.Transport`` and calls the methods of ``asyncio.Protocol``.
Its states, one for each direction and one for the whole, are in ``socket_states``.

In LOST nothing is read or written any more; ``connection_lost`` is called once, at the end of the turn, and never from
within a call of the user. The descriptor is closed after it.

What epoll is asked for follows from these (``_update``):

    READING and OPEN    EPOLLIN, EPOLLRDHUP       data or FIN
    bytes buffered      EPOLLOUT                  room for them
    otherwise           nothing: EPOLLERR and EPOLLHUP come unasked, so that a reset is heard of where nothing is read

A socket is read before it is written, and after a failed write it is read to its end, when reading goes on: what the
peer sent before it went is not lost with the error. Where the error is EPIPE, the peer had sent FIN before it reset the
connection (tcp_reset in the kernel), and ``eof_received`` is called first.

A reset while reading is paused is not looked at before reading goes on: what came before it is still to be read. The
socket leaves the set meanwhile, since level-triggered epoll would report the reset in every turn.
"""

import errno
import os
import select
import socket
from asyncio import Protocol
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import Any, Final

from portside.server.poller import SocketPoller
from portside.server.socket_states import Life, Reading, Writing
from portside.server.write_buffer import WriteBuffer
from portside.socket_class import Socket

HIGH_BYTES: Final = 64 * 1024  # buffered: above this the user is told to pause writing
LOW_BYTES: Final = 16 * 1024  # and at this to go on
SMALL_READ_BYTES: Final = 16 * 1024
LARGE_READ_BYTES: Final = 256 * 1024  # after a read that was full, until one is smaller than a small one
READS_PER_TURN: Final = 4  # of a socket that is new, or whose FIN is known to be near: the others are served between
FULL_READS_PER_TURN: Final = 8  # of a socket that has more: a relay has the bytes of one stream in the cache

# A member of an enumeration costs two look-ups where it is used.
_READING, _PAUSED, _READING_ENDED = Reading
_WRITING, _ENDING, _WRITING_ENDED = Writing
_OPEN, _CLOSING, _LOST = Life
_UNREGISTERED: Final = -1
_READ_EVENTS: Final = EPOLLIN | EPOLLRDHUP
_BROKEN: Final = EPOLLHUP | EPOLLERR
_ENDS: Final = EPOLLRDHUP | EPOLLHUP | EPOLLERR
_NO_PROTOCOL: Final = Protocol()  # of a transport whose own has been told of the end

read = os.read
write = os.write


class SocketTransport:
    """Transport over ``fd``, a connected stream socket in non-blocking mode, which it owns from now on.

    The class has more than 20 methods because a transport has 12 already, and more than 12 attributes because a further
    object for each direction would cost an idle connection 100 bytes and each read one more lookup.
    """

    __slots__ = (
        "_buffer",
        "_error",
        "_events",
        "_fd",
        "_life",
        "_poller",
        "_protocol",
        "_read_bytes",
        "_reading",
        "_sock",
        "_unsent_bytes",
        "_write_paused",
        "_writing",
    )

    def __init__(self, poller: SocketPoller, fd: int, protocol: Protocol) -> None:
        self._poller = poller
        self._fd = fd
        self._protocol = protocol
        self._reading = _READING
        self._writing = _WRITING
        self._life = _OPEN
        self._events = _UNREGISTERED
        self._read_bytes = SMALL_READ_BYTES
        self._buffer: WriteBuffer | None = None  # None: nothing is buffered
        self._unsent_bytes = 0  # that were written after a write had failed, or buffered when it did
        self._write_paused = False  # the user was told to pause
        self._error: Exception | None = None  # why the connection was lost
        self._sock: socket.socket | None = None

    def start(self) -> None:
        """Give the protocol its connection, and read what has come already."""
        self.open()
        self.read_first()

    def open(self) -> None:
        """Give the protocol its connection; an error that it raises ends the connection and is reported."""
        try:
            self._protocol.connection_made(self)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001
            self._poller.report(self, error)

    def read_first(self) -> None:
        """Read what has come before the connection was made, and have the poller watch the socket from now on.

        A socket whose data and FIN have come is served without ever being registered.
        """
        try:
            self._read(READS_PER_TURN)
        except Exception as error:  # noqa: BLE001
            self._poller.report(self, error)
        self._update()

    # Called by the poller.

    def ready(self, events: int) -> None:
        """Serves what epoll reports; see the table above."""
        if events == EPOLLIN and self._events & EPOLLIN:
            # Data alone, as most of the time: ``_read`` without a call and a loop.
            most = self._read_bytes
            try:
                data = read(self._fd, most)
            except OSError as error:
                self._read_failed(error)
                return
            if len(data) == most or most != SMALL_READ_BYTES:
                self._adapt_read(len(data))
            if data:
                self._protocol.data_received(data)
                if len(data) == LARGE_READ_BYTES:
                    self._read(FULL_READS_PER_TURN - 1, full=True)
            else:
                self._end_reading()
            return
        if self._reading is _READING and self._life is _OPEN:
            if events & ~EPOLLOUT:  # before writing: the error that writing meets would hide what has come
                self._read(READS_PER_TURN if events & _ENDS else 1)
            if events & _BROKEN:
                return
        elif events & _BROKEN and self._life is not _LOST:
            self._check_hangup()
        if events & EPOLLOUT and self._buffer is not None and self._life is not _LOST:
            self._send_buffered(self._buffer)

    def set_protocol(self, protocol: Protocol) -> None:
        """Have another protocol called from now on; not from within a call of the present one."""
        if self._life is not _LOST:
            self._protocol = protocol

    def failed(self, error: Exception) -> None:
        """Ends the connection after the code of its user raised an error."""
        self._lose(error)

    # Reading.

    def _read(self, most: int, *, full: bool = False) -> None:
        """Read ``most`` times at most, and with ``full`` only until a read is not full: the poller comes back."""
        fd, data_received = self._fd, self._protocol.data_received
        while most > 0 and self._reading is _READING and self._life is _OPEN:
            try:
                data = read(fd, self._read_bytes)
            except OSError as error:
                self._read_failed(error)
                return
            if not data:
                self._end_reading()
                return
            most = 0 if full and len(data) < self._read_bytes else most - 1
            self._adapt_read(len(data))
            data_received(data)

    def _adapt_read(self, size: int) -> None:
        """Choose the size of the next read by that of the last."""
        if size == self._read_bytes:
            self._read_bytes = LARGE_READ_BYTES
        elif size < SMALL_READ_BYTES:
            self._read_bytes = SMALL_READ_BYTES

    def _read_failed(self, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self._lose(error)

    def _end_reading(self) -> None:
        self._reading = _READING_ENDED
        error = self._error  # of a failed write
        stays = (error is None or isinstance(error, BrokenPipeError)) and self._protocol.eof_received()
        if error is not None:
            self._lose(error)
        elif not stays:
            self.close()
        elif self._events != _UNREGISTERED:
            self._update()

    def _check_hangup(self) -> None:
        """Ends a connection that nothing is read from, where it has an error or its peer is gone altogether."""
        poll = select.poll()
        poll.register(self._fd, 0)
        if not poll.poll(0):
            return  # the event was meant for an earlier socket of this number
        if self._reading is _PAUSED and self._life is _OPEN:
            self._poller.unregister(self._fd)
            self._events = _UNREGISTERED
            return
        code = self._socket().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code and self._writing is _WRITING_ENDED and self._reading is _READING_ENDED and self._life is _OPEN:
            self._poller.unregister(self._fd)  # both sides have ended in order: the user says when it is over
            self._events = _UNREGISTERED
            return
        self._lose(OSError(code, os.strerror(code)) if code else None)

    def pause_reading(self) -> None:
        """Read nothing until ``resume_reading``: data waits in the kernel, and then at the peer."""
        if self._reading is _READING:
            self._reading = _PAUSED
            self._update()

    def resume_reading(self) -> None:
        """Read again."""
        if self._reading is _PAUSED:
            self._reading = _READING
            self._update()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; what the kernel does not take at once is buffered. Ignored after ``write_eof`` and ``close``."""
        if self._life is not _OPEN or self._writing is not _WRITING or not data:
            if self._error is not None:
                self._unsent_bytes += len(data)
            return
        if self._buffer is not None:
            self._buffer.append(bytes(data))
            self._check_high()
            return
        try:
            sent = write(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._unsent_bytes += len(data)
            self._write_failed(error)
            return
        if sent < len(data):
            self._buffer = WriteBuffer(memoryview(bytes(data))[sent:])
            self._update()
            self._check_high()

    def _write_failed(self, error: OSError) -> None:
        """End writing; what the peer sent before it went is still read, and then the connection is lost."""
        if self._reading is _READING_ENDED or self._life is not _OPEN:
            self._lose(error)
            return
        self._error, self._writing = error, _WRITING_ENDED
        if self._buffer is not None:
            self._unsent_bytes += self._buffer.size
            self._buffer = None
        self._update()
        self._check_low()  # nothing waits any more: a user that has paused reading meanwhile goes on

    def _check_high(self) -> None:
        if self._buffer is not None and self._buffer.size > HIGH_BYTES and not self._write_paused:
            self._write_paused = True
            try:
                self._protocol.pause_writing()
            except Exception as error:  # noqa: BLE001 -- it is not the writer's
                self._poller.report(self, error)

    def _check_low(self) -> None:
        low = self._buffer is None or self._buffer.size <= LOW_BYTES
        if low and self._write_paused and self._life is not _LOST:
            self._write_paused = False
            self._protocol.resume_writing()

    def _send_buffered(self, buffer: WriteBuffer) -> None:
        try:
            all_sent = buffer.send(self._fd)
        except BlockingIOError:
            return
        except OSError as error:
            self._write_failed(error)
            return
        if all_sent:
            self._buffer = None
            if self._life is _CLOSING:
                self._lose(None)
            elif self._writing is _ENDING:
                self._send_fin()
            self._update()
        self._check_low()

    def write_eof(self) -> None:
        """Send FIN after what is buffered; the peer may go on sending."""
        if self._life is _OPEN and self._writing is _WRITING:
            self._writing = _ENDING
            if self._buffer is None:
                self._send_fin()

    def _send_fin(self) -> None:
        self._writing = _WRITING_ENDED
        try:
            self._socket().shutdown(socket.SHUT_WR)
        except OSError as error:  # ENOTCONN: the peer has reset the connection
            self._write_failed(ConnectionResetError(*error.args) if error.errno == errno.ENOTCONN else error)

    def can_write_eof(self) -> bool:
        """Whether there is a half-close: always."""
        return True

    def get_write_buffer_size(self) -> int:
        """Bytes buffered here, which the kernel has not taken; at the end with those that a failed write has lost."""
        buffered = self._buffer.size if self._buffer is not None else 0
        return buffered + self._unsent_bytes if self._life is _LOST else buffered

    # The socket.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, as ``socket`` or ``fd``: for its options alone, never to read, write or close it.

        A socket object is made when it is first asked for, and takes memory from then on. Not after the end.
        """
        if self._fd < 0:
            return default
        return self._socket() if name == "socket" else self._fd if name == "fd" else default

    def _socket(self) -> socket.socket:
        if self._sock is None:
            self._sock = Socket(fileno=self._fd)
        return self._sock

    def _update(self) -> None:
        """Ask epoll for what the states say."""
        if self._life is _LOST:
            return
        events = _READ_EVENTS if self._reading is _READING and self._life is _OPEN else 0
        if self._buffer is not None:
            events |= EPOLLOUT
        if events == self._events:
            return
        try:
            if self._events == _UNREGISTERED:
                self._poller.register(self._fd, self, events)
            else:
                self._poller.modify(self._fd, events)
        except OSError as error:  # the kernel has no room for it
            self._lose(error)
        except ValueError:  # the poller is closed: the run has ended
            self._lose(None)
        else:
            self._events = events

    # The end.

    def is_closing(self) -> bool:
        """Whether ``close`` or ``abort`` was called, or the connection is lost."""
        return self._life is not _OPEN

    def close(self) -> None:
        """Close when what is buffered has been sent; nothing is read any more."""
        if self._life is _OPEN:
            if self._buffer is None:
                self._lose(None)
            else:
                self._life = _CLOSING
                self._update()

    def abort(self) -> None:
        """Close now; what is buffered is lost."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._life is _LOST:
            return
        self._life = _LOST
        if self._error is None:
            self._error = error
        self._poller.call_later_this_turn(self._tell_lost)
        if self._events != _UNREGISTERED:
            self._events = _UNREGISTERED
            self._poller.unregister(self._fd)

    def _tell_lost(self) -> None:
        """Tell the protocol, which may still ask for the socket and for what was not sent; then close."""
        protocol, self._protocol = self._protocol, _NO_PROTOCOL
        error, self._error = self._error, None  # its traceback refers to this transport, in the frame that has read
        try:
            protocol.connection_lost(error)
        finally:
            self._buffer = None
            fd, self._fd = self._fd, -1
            if self._sock is not None:
                self._sock.detach()
            os.close(fd)


def attach(poller: SocketPoller, sock: socket.socket, protocol: Protocol) -> None:
    """Give a protocol a transport over a connected socket, which is the transport's from now on."""
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    SocketTransport(poller, sock.detach(), protocol).start()
