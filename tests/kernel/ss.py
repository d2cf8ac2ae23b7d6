"""The output of ``ss``, parsed, with netstat's names of the states."""

import re
import subprocess
from typing import NamedTuple

_STATES = {
    "ESTAB": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "LISTEN": "LISTEN",
    "CLOSING": "CLOSING",
    "UNCONN": "CLOSE",
    "-": "",
}
_OWNER = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+),fd=(\d+)\)')


class Line(NamedTuple):
    """A socket as ``ss`` prints it; ``details`` are the words of the form ``key:value``."""

    state: str
    recv_q: int
    send_q: int
    local: str
    remote: str | None
    owners: tuple[tuple[int, str, int], ...]
    details: dict[str, str]


def ss(*words: str, options: str = "-tanpeimOH") -> list[Line]:
    """Run ``ss`` with a filter; a ``Line`` for each socket."""
    out = subprocess.run(["ss", options, *words], check=True, capture_output=True, text=True).stdout
    return [_line(line) for line in out.splitlines()]


def _line(text: str) -> Line:
    if text[0].isdigit():  # of one state alone, ss leaves the column out
        text = f"- {text}"
    state, recv_q, send_q, local, remote, *rest = text.split()
    details = dict(word.split(":", 1) for word in rest if ":" in word)
    owners = tuple(sorted((int(pid), program, int(fd)) for program, pid, fd in _OWNER.findall(text)))
    name = _STATES[state]
    end = None if remote.endswith(":*") else _end(remote)
    return Line(name, int(recv_q), int(send_q), _end(local), end, owners, details)


def _end(text: str) -> str:
    """IPv4 mapped into IPv6 as IPv4, and ss's ``*`` for every address of both families as ``[::]``."""
    host, _, port = text.rpartition(":")
    host = host.partition("%")[0]
    if host.startswith("[::ffff:"):
        host = host[8:-1]
    return f"{'[::]' if host == '*' else host}:{port}"
