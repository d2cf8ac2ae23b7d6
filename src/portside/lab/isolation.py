"""A network namespace of the lab's own, in a user namespace where the user is not root: nothing of the machine changes.

See user_namespaces(7), network_namespaces(7). Both end with the last process in them.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

from portside.errors import PortsideError, reason_of

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFMTU = 0x8913, 0x8914, 0x8922
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_IFF_UP = 1
_RESTRICTIONS = (
    ("user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns is 1"),
)


class Isolation:
    """The namespace of this process, once ``enter`` has made one.

    Its methods are the only way to settings of the kernel, so that none is ever changed outside.
    """

    def __init__(self, code: str) -> None:
        self._code = code
        self._entered = False

    def enter(self) -> None:
        """Move this process, which must have no other thread, into namespaces of its own, with the loopback up.

        Raises PortsideError with what is missing.
        """
        uid, gid = os.geteuid(), os.getegid()
        before = os.readlink("/proc/self/ns/net")
        try:
            _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                _write(f"/proc/self/{name}", text)
        except OSError as error:
            if os.readlink("/proc/self/ns/net") == before:
                self._enter_as_root(error)
        self._entered = os.readlink("/proc/self/ns/net") != before
        if not self._entered:
            raise self._missing("the kernel made no network namespace")
        try:
            self.up("lo")
        except OSError as error:
            raise self._missing(
                f"the loopback of a new network namespace cannot be set up: {reason_of(error)}"
            ) from None

    def set(self, name: str, value: str) -> None:
        """Set a setting of this namespace: ``ipv4/tcp_syncookies``. Raises PortsideError where it may not be."""
        if not self._entered:
            raise AssertionError("a lab changes settings in a namespace of its own alone")
        try:
            _write(f"/proc/sys/net/{name}", value)
        except OSError as error:
            raise self._missing(f"net.{name.replace('/', '.')} cannot be set: {reason_of(error)}") from None

    def up(self, interface: str, *, address: str = "", mtu: int = 0) -> None:
        """Set an interface up, with an address (of a network of 24 bits) and a size of packets. Raises OSError."""
        name = interface.encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            if mtu:
                fcntl.ioctl(control, _SIOCSIFMTU, struct.pack("16si20x", name, mtu))
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.0" if address else "")):
                if value:
                    packed = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
                    fcntl.ioctl(control, request, struct.pack("16s16s8x", name, packed))
            (flags,) = struct.unpack("16xH22x", fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16s24x", name)))
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags | _IFF_UP))

    def _enter_as_root(self, why: OSError) -> None:
        """Enter a network namespace alone, which root may where user namespaces are switched off."""
        try:
            _unshare(_CLONE_NEWNET)
        except OSError:
            raise self._missing(f"no user and network namespace can be made: {reason_of(why)}") from None

    def _missing(self, why: str) -> PortsideError:
        known = [words for path, value, words in _RESTRICTIONS if _read(f"/proc/sys/{path}") == value]
        hint = "; ".join(known) or "a container may forbid it (seccomp)"
        return PortsideError(f"lab {self._code}", why, f"{hint}; root on the machine itself may always")


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str, text: str) -> None:
    """Write a file of /proc in one call, so that its error is that of the write."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str | None:
    with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
        return file.read().strip()
    return None
