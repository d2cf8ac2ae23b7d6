"""The reader of sock_diag dumps: requests, and a receive that notices when messages were lost. It decodes nothing.

See sock_diag(7), netlink(7), include/uapi/linux/inet_diag.h and net/ipv4/inet_diag.c.
"""

import errno
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from portside.errors import PortsideError
from portside.kernel.backend import BackendError, DumpRequest
from portside.kernel.inet_diag import NLMSG_DONE, NLMSG_ERROR, SOCK_DIAG_BY_FAMILY, Extension

if TYPE_CHECKING:
    from portside.kernel.netns import Namespace

NETLINK_SOCK_DIAG = 4
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
REQUEST = struct.Struct("=BBBxI48s")  # struct inet_diag_req_v2: family, protocol, extensions, states, socket
_INTEGER = struct.Struct("=i")
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

# The kernel fills at most 32 kB at a time for a dump (netlink_dump in net/netlink/af_netlink.c).
_DATAGRAM_BYTES = 1 << 16
_AREA_BYTES = 64 << 20  # address space; memory is taken as it fills: 60,000 sockets in full are 27 MB
_COPIED_BYTES = 1 << 20
_TIMEOUT_S = 5.0

# Errors of a kernel that has no sock_diag for TCP, or hides it.
_NOT_HERE = (errno.ENOENT, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)


class NetlinkError(PortsideError):
    """The kernel refused a request: ``number`` is its errno."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(what, os.strerror(number))
        self.number = number


class LostError(Exception):
    """Messages of a dump were lost on the way: the dump has to be made again."""


class DumpReader:
    """Dumps of the TCP sockets of a network namespace, as bytes: this process's own, or another.

    One dump at a time. With ``small_pages`` a dump takes the memory that it fills, and no huge pages, which are faster
    and of 2 MB each. Raises BackendError where there is no netlink.
    """

    def __init__(self, namespace: "Namespace | None" = None, *, small_pages: bool = False) -> None:
        self.namespace = namespace
        self._small_pages = small_pages
        self._socket = self._open()
        self._area = self._new_area(_AREA_BYTES)
        self._sequence = 0
        self._takes_bytecode = True
        self._unread: tuple[DumpRequest, memoryview] | None = None

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()

    def unread(self, request: DumpRequest, dump: memoryview) -> None:
        """Take a dump back: the next ``read`` of the same request returns it."""
        self._unread = request, dump

    def read(self, request: DumpRequest) -> memoryview:
        """Read every socket that is requested: whole messages, each at a multiple of 4 bytes.

        Raises BackendError, NetlinkError where the kernel refuses, and LostError; the next dump is not affected.
        """
        unread, self._unread = self._unread, None
        if unread is not None and unread[0] == request:
            return unread[1]
        while True:
            try:
                return self._receive_all(request)
            except LostError:
                self._reopen()
                raise
            except NetlinkError as error:
                self._reopen()
                if error.number == errno.EINVAL and request.bytecode and self._takes_bytecode:
                    self._takes_bytecode = False  # an older kernel: the caller filters what we read anyway
                    continue
                if error.number in _NOT_HERE:
                    raise BackendError(error.what, error.why) from error
                raise

    def pieces(self, request: DumpRequest) -> Iterator[memoryview]:
        """A dump in pieces of some 32 kB, of whole messages, each good until the next: for what needs no whole table.

        It is made once, and to its end or not at all. Raises NetlinkError and LostError.
        """
        area = memoryview(self._area)
        try:
            for family in request.families:
                self._request(FAMILIES[family], request)
                is_over = False
                while not is_over:
                    size, is_over = self._receive_one(area, 0)
                    yield area[:size]
        except (LostError, NetlinkError):
            self._reopen()
            raise

    def _receive_all(self, request: DumpRequest) -> memoryview:
        filled = 0
        for number, family in enumerate(request.families):
            self._request(FAMILIES[family], request)
            try:
                filled = self._receive(filled)
            except NetlinkError as error:
                if number == 0 or error.number not in _NOT_HERE:
                    raise
                # This machine has no IPv6, and so no sockets of it.
        return self._kept(filled)

    def _request(self, family: int, request: DumpRequest) -> None:
        self._sequence += 1
        attribute = b""
        if request.bytecode and self._takes_bytecode:
            attribute = struct.pack("=HH", 4 + len(request.bytecode), _BYTECODE) + request.bytecode
        extensions = Extension.ALL if request.details else 0
        body = REQUEST.pack(family, socket.IPPROTO_TCP, extensions, request.states, bytes(48))
        size = HEADER.size + len(body) + len(attribute)
        header = HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0)
        try:
            self._socket.send(header + body + attribute)
        except OSError as error:
            raise NetlinkError("reading sockets by netlink", error.errno or errno.EIO) from error

    def _receive(self, filled: int) -> int:
        """Append the datagrams of one dump to the area; how many bytes of it are full then."""
        area = memoryview(self._area)
        is_over = False
        while not is_over:
            if filled + _DATAGRAM_BYTES > len(area):
                area = self._grow(filled)
            filled, is_over = self._receive_one(area, filled)
        return filled  # with the end, which says too whether the dump was interrupted

    def _receive_one(self, area: memoryview, filled: int) -> tuple[int, bool]:
        """Append one datagram: how many bytes of the area are full then, and whether the dump is over."""
        try:
            size = self._socket.recv_into(area[filled : filled + _DATAGRAM_BYTES], 0, socket.MSG_TRUNC)
        except OSError as error:
            raise LostError(str(error)) from error
        if not HEADER.size <= size <= _DATAGRAM_BYTES:
            raise LostError(f"a datagram of {size} bytes")
        _, kind, _, sequence, _ = HEADER.unpack_from(area, filled)
        if sequence != self._sequence:
            raise LostError("an answer to something else")
        after = filled + ((size + 3) & ~3)
        if kind in (NLMSG_DONE, NLMSG_ERROR):
            _raise_error(area[filled : filled + size])
            return after, True
        if end := self._end_of_dump(area, after, size):
            _raise_error(area[end:after])
        return after, bool(end)

    def _end_of_dump(self, area: memoryview, filled: int, size: int) -> int:
        """Where the end of the dump is, when the kernel appended it to the last sockets; 0 where it did not."""
        at = filled - HEADER.size - _INTEGER.size
        if size > 2 * HEADER.size and HEADER.unpack_from(area, at)[:2] == (filled - at, NLMSG_DONE):
            return at if HEADER.unpack_from(area, at)[3] == self._sequence else 0
        return 0

    def _kept(self, filled: int) -> memoryview:
        """The bytes that were received, safe from the next dump: the table takes its columns out of them."""
        if filled <= _COPIED_BYTES:
            return memoryview(self._area[:filled])
        area, self._area = self._area, self._new_area(len(self._area))
        return memoryview(area)[:filled]

    def _grow(self, filled: int) -> memoryview:
        area = self._new_area(2 * len(self._area))
        area[:filled] = self._area[:filled]
        self._area = area
        return memoryview(area)

    def _new_area(self, size: int) -> mmap.mmap:
        """Memory that costs nothing until it is written, and then few page faults where the kernel has huge pages."""
        area = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                area.madvise(mmap.MADV_NOHUGEPAGE if self._small_pages else mmap.MADV_HUGEPAGE)
        return area

    def _open(self) -> socket.socket:
        def opened() -> socket.socket:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)

        try:
            channel = self.namespace.run(opened) if self.namespace else opened()
            # Not settimeout, with which Python would ask the kernel twice for each datagram.
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(_TIMEOUT_S), 0))
        except OSError as error:
            raise BackendError("opening netlink", error) from error
        except AttributeError as error:  # of the socket module
            raise BackendError("opening netlink", "this system has none") from error
        return channel

    def _reopen(self) -> None:
        self._socket.close()
        self._socket = self._open()


def _raise_error(message: memoryview) -> None:
    """Raise NetlinkError where the end of a dump, or an error message, has a negative errno after the header."""
    if len(message) >= HEADER.size + _INTEGER.size:
        number = -_INTEGER.unpack_from(message, HEADER.size)[0]
        if number:
            raise NetlinkError("reading sockets by netlink", number)
