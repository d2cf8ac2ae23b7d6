"""Portside as it would find a system without what Linux alone has: run as a program, with Portside's arguments.

What CPython does not have on macOS is taken out of its modules, nothing below /proc can be opened, and psutil knows one
server with one client. The kernel below stays Linux.
"""

import fcntl
import os
import resource
import select
import signal
import socket
import sys
import urllib.request  # noqa: F401 -- on macOS it imports what no Python on Linux has: so before the name changes
from types import ModuleType, SimpleNamespace

LINUX_ALONE = {
    select: ("epoll", "EPOLL"),
    socket: (
        *("AF_ALG", "AF_CAN", "AF_NETLINK", "AF_PACKET", "AF_QIPCRTR", "AF_TIPC", "AF_VSOCK", "IP_TRANSPARENT"),
        *("MSG_CMSG_CLOEXEC", "MSG_CONFIRM", "MSG_ERRQUEUE", "MSG_FASTOPEN", "MSG_MORE", "MSG_NOSIGNAL", "NETLINK_"),
        *("SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_BINDTODEVICE", "SO_DOMAIN", "SO_INCOMING_CPU", "SO_MARK", "SO_PASS"),
        *("SO_PEERCRED", "SO_PEERSEC", "SO_PRIORITY", "SO_PROTOCOL", "TCP_CONGESTION", "TCP_CORK", "TCP_DEFER_ACCEPT"),
        *("TCP_INFO", "TCP_KEEPIDLE", "TCP_LINGER2", "TCP_QUICKACK", "TCP_SYNCNT", "TCP_USER_TIMEOUT"),
        "TCP_WINDOW_CLAMP",
    ),
    os: (
        *("CLONE_", "EFD_", "MFD_", "O_DIRECT", "O_NOATIME", "O_PATH", "O_TMPFILE", "P_PIDFD", "copy_file_range"),
        *("eventfd", "fdatasync", "getrandom", "getresuid", "getxattr", "listxattr", "memfd_create", "pidfd_open"),
        *(
            "pipe2",
            "posix_fadvise",
            "posix_fallocate",
            "sched_",
            "setns",
            "setresgid",
            "setresuid",
            "splice",
            "unshare",
        ),
    ),
    signal: ("SIGPWR", "SIGRTMAX", "SIGRTMIN", "SIGSTKFLT", "sigtimedwait", "sigwaitinfo"),
    fcntl: ("F_ADD_SEALS", "F_GETPIPE_SZ", "F_NOTIFY", "F_OFD_", "F_SETLEASE", "F_SETPIPE_SZ"),
    resource: ("prlimit",),
}


class _Error(Exception):
    pass


def _psutil() -> ModuleType:
    server, client = SimpleNamespace(ip="127.0.0.1", port=9000), SimpleNamespace(ip="127.0.0.1", port=50000)
    common = {"family": socket.AF_INET, "laddr": server, "pid": 77}
    sockets = [
        SimpleNamespace(fd=3, raddr=(), status="LISTEN", **common),
        SimpleNamespace(fd=5, raddr=(client.ip, client.port), status="ESTABLISHED", **common),
    ]
    for each in sockets:
        each.laddr = (server.ip, server.port)
    module = ModuleType("psutil")
    module.__dict__.update(
        LINUX=False,
        Error=_Error,
        net_connections=lambda _kind: sockets,
        Process=lambda _pid: SimpleNamespace(name=lambda: "server", cmdline=lambda: ["server", "-x"]),
    )
    return module


def _refuse_proc(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


def take_away() -> None:
    """Take away what Linux alone has, for the rest of this process."""
    setattr(socket, "TCP_KEEPALIVE", socket.TCP_KEEPIDLE)  # noqa: B010 -- the name of macOS, the number of this kernel
    for module, prefixes in LINUX_ALONE.items():
        for name in [name for name in dir(module) if name.startswith(prefixes)]:
            delattr(module, name)
    sys.modules["psutil"] = _psutil()
    sys.platform = "darwin"
    sys.addaudithook(_refuse_proc)


if __name__ == "__main__":
    take_away()
    from portside.cli import main

    main()
