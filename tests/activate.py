"""A parent that passes sockets on as systemd does: makes them, dups them to 3, 4, … and becomes the program.

``python activate.py KIND… -- COMMAND``. The kinds: ``tcp``, ``tcp6=PORT`` (a dual-stack one), ``unix=PATH`` listen;
``bound``, ``udp``, ``connected`` and ``file`` are what a server cannot listen on. The environment variable
ACTIVATE_PID, if it is there, is the process that LISTEN_PID names, ACTIVATE_FDS what LISTEN_FDS says.
"""

import fcntl
import os
import socket
import sys


def make(kind: str) -> int:
    """A descriptor of its own for a socket of this kind."""
    kind, _, value = kind.partition("=")
    if kind == "file":
        return os.open("/dev/null", os.O_RDONLY)
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(value)
    else:
        family = socket.AF_INET6 if kind == "tcp6" else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        if kind == "tcp6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::" if kind == "tcp6" else "127.0.0.1", int(value or 0)))
    if kind == "connected":
        peer = socket.create_server(("127.0.0.1", 0))
        sock.connect(peer.getsockname())
        peer.accept()[0].detach()  # or the connection would be reset
    elif kind not in ("bound", "udp"):
        sock.listen()
    return sock.detach()


def main() -> None:
    """Make the sockets and become the program."""
    end = sys.argv.index("--")
    made = [fcntl.fcntl(make(kind), fcntl.F_DUPFD, 100) for kind in sys.argv[1:end]]
    os.closerange(3, 100)
    for target, fd in enumerate(made, 3):
        os.dup2(fd, target)
        os.close(fd)
    os.environ["LISTEN_FDS"] = os.environ.pop("ACTIVATE_FDS", str(len(made)))
    os.environ["LISTEN_PID"] = os.environ.pop("ACTIVATE_PID", str(os.getpid()))
    os.environ["LISTEN_FDNAMES"] = ":".join("web" for _ in made)
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])


if __name__ == "__main__":
    main()
