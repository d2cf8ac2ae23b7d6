"""Notifications of destroyed TCP sockets: the kernel sends them by netlink SOCK_DIAG, groups 1 (IPv4) and 3 (IPv6).

Any user may receive them. See sock_diag_broadcast_destroy in net/core/sock_diag.c and tcp_diag_destroy in
net/ipv4/tcp_diag.c. Each notification is a datagram: a ``struct inet_diag_msg`` with the final tcp_info, as decoder.py
decodes it.

1. A notification comes when the last holder closed the socket and TCP is done with it; that is before the end of
   TIME_WAIT, for which the kernel keeps a stub without another notification.
2. The kernel does not wait: it drops a notification that does not fit into the receive buffer. A separate thread
   receives, so that none is lost while a long table is read; drops that occur nevertheless are counted.
3. A notification wakes the reader at once. After that the thread rests for some milliseconds, so that a flood is
   received in batches.
"""

import ctypes
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel.backend import BackendError
from portside.kernel.dump_reader import NETLINK_SOCK_DIAG
from portside.kernel.netns import Namespace

_GROUPS = 1 << 0 | 1 << 2  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY, as bits
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")  # SK_MEMINFO_*; the last is SK_MEMINFO_DROPS
_BUFFER_BYTES = 32 << 20  # about a second of 30,000 notifications; without root the kernel gives less (rmem_max)
_SLOTS, _SLOT_BYTES = 256, 2048  # datagrams a call; a notification has some 400 bytes
_MOST_CALLS = 32
HELD_BYTES = 512 << 20
"""What may wait here until it is taken: a million notifications."""
_REST_MS = 10


class NotificationBatch(NamedTuple):
    """Notifications one after the other, as ``decode`` takes them, and when they came (ns of the monotonic clock)."""

    data: npt.NDArray[np.uint8]
    at_ns: int


def joined(batches: Sequence[NotificationBatch], within_ns: int) -> Iterator[NotificationBatch]:
    """The batches, those that came within some time put into one, as of the last of them."""
    begun: list[NotificationBatch] = []
    for batch in batches:
        if begun and batch.at_ns - begun[0].at_ns > within_ns:
            yield _as_one(begun)
            begun = []
        begun.append(batch)
    if begun:
        yield _as_one(begun)


def _as_one(batches: list[NotificationBatch]) -> NotificationBatch:
    if len(batches) == 1:
        return batches[0]
    return NotificationBatch(np.concatenate([each.data for each in batches]), batches[-1].at_ns)


class DestroyNotifications(NamedTuple):
    """The notifications since the last call of ``take``, and how many the kernel dropped since then."""

    batches: tuple[NotificationBatch, ...]
    lost: int


class DestroyMonitor:
    """The receiver of notifications, from the moment it is made. Raises BackendError where there is no netlink.

    ``fileno`` becomes readable when notifications wait: the descriptor is for poll(2), and ``take`` empties it.
    ``held_bytes`` is how much may wait here until it is taken, and ``buffer_bytes`` how much more in the kernel.
    """

    def __init__(
        self,
        namespace: Namespace | None = None,
        *,
        buffer_bytes: int = _BUFFER_BYTES,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        try:
            self._datagrams = _Datagrams()
            self._socket = namespace.run(_opened) if namespace else _opened()
        except OSError as error:
            raise BackendError("listening to the kernel's announcements", error) from error
        except AttributeError as error:  # of the socket module, or of libc
            raise BackendError("listening to the kernel's announcements", "this system has no netlink") from error
        _enlarge(self._socket, buffer_bytes)
        self._waiting, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ended, self._end = os.pipe()
        self._lock = threading.Lock()
        self._batches: list[NotificationBatch] = []
        self._held_bytes = 0
        self._most_bytes = held_bytes
        self._drops = 0
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._receive_until_end, name="announcements", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor that is readable when notifications wait to be taken."""
        return self._waiting

    def take(self) -> DestroyNotifications:
        """Take all notifications from before this call. Raises BackendError where receiving failed."""
        with self._lock:
            while self._receive():
                pass
            batches, self._batches, self._held_bytes = tuple(self._batches), [], 0
            try:
                os.read(self._waiting, 1 << 16)
            except BlockingIOError:
                pass
            before, self._drops = self._drops, self._count_drops()
            if self._failure is not None:
                raise BackendError("receiving the kernel's announcements", self._failure)
            return DestroyNotifications(batches, (self._drops - before) & 0xFFFFFFFF)

    def close(self) -> None:
        """End the thread and close the sockets; may be called again."""
        if not self._thread.is_alive() and self._socket.fileno() < 0:
            return
        os.close(self._end)
        self._thread.join()
        self._socket.close()
        for descriptor in (self._waiting, self._wake, self._ended):
            os.close(descriptor)

    def _receive_until_end(self) -> None:
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        resting = select.poll()
        resting.register(self._ended, select.POLLIN)
        poller.register(self._socket, select.POLLIN)
        while True:
            if any(descriptor == self._ended for descriptor, _ in poller.poll()):
                return
            with self._lock:
                if self._receive():
                    self._signal_waiting()
                if self._failure is not None:
                    self._signal_waiting()
                    return
            if resting.poll(_REST_MS):
                return

    def _signal_waiting(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:  # it is readable already
            pass

    def _receive(self) -> bool:
        """Take up to a few thousand datagrams out of the socket; whether there were any. The caller holds the lock."""
        if self._held_bytes > self._most_bytes or self._failure is not None:
            return False
        at_ns = time.monotonic_ns()
        pieces: list[npt.NDArray[np.uint8]] = []
        while len(pieces) < _MOST_CALLS:
            try:
                pieces.append(self._datagrams.receive(self._socket.fileno()))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in (errno.ENOBUFS, errno.EINTR):  # after an overrun: the socket counts what it lost
                    continue
                self._failure = error
                break
        if pieces:
            self._batches.append(NotificationBatch(np.concatenate(pieces), at_ns))
            self._held_bytes += len(self._batches[-1].data)
        return bool(pieces)

    def _count_drops(self) -> int:
        return int(_MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1])


class _Datagrams:
    """Receives many datagrams with one call, recvmmsg(2).

    Python's own recv gives up the interpreter's lock for each datagram, and gets it back milliseconds later when
    another thread is busy: a few hundred notifications a second, where many thousand may come.
    """

    def __init__(self) -> None:
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._area = np.empty((_SLOTS, _SLOT_BYTES), "u1")
        self._vectors = (_Vector * _SLOTS)()
        self._messages = (_Message * _SLOTS)()
        for index in range(_SLOTS):
            self._vectors[index] = _Vector(self._area[index].ctypes.data, _SLOT_BYTES)
            self._messages[index].header.vectors = ctypes.pointer(self._vectors[index])
            self._messages[index].header.vector_count = 1
        whole = np.frombuffer(memoryview(self._messages).cast("B"), "u1").reshape(_SLOTS, -1)
        self._sizes = whole[:, _Message.size.offset :][:, : ctypes.sizeof(ctypes.c_uint)]

    def receive(self, fd: int) -> npt.NDArray[np.uint8]:
        """The datagrams that wait, one after the other at multiples of 4 bytes.

        Raises OSError; BlockingIOError where none waits.
        """
        count = self._recvmmsg(fd, self._messages, _SLOTS, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        sizes = (self._sizes[:count].copy().view("u4")[:, 0] + 3) & ~np.uint32(3)
        if (sizes == sizes[0]).all():
            return self._area[:count, : sizes[0]].copy().reshape(-1)
        return np.concatenate([self._area[index, :size] for index, size in enumerate(sizes.tolist())])


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr: a message, and how many bytes of it came."""

    _fields_ = (("header", _Header), ("size", ctypes.c_uint))


def _opened() -> socket.socket:
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    channel = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
    try:
        channel.bind((0, _GROUPS))
    except BaseException:
        channel.close()
        raise
    return channel


def _enlarge(channel: socket.socket, size: int) -> None:
    """Enlarge the receive buffer to this many bytes, or without root to the most that the kernel gives."""
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
