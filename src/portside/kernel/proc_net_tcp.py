"""The backend that reads /proc/net/tcp and tcp6: see get_tcp4_sock in net/ipv4/tcp_ipv4.c, get_tcp6_sock for IPv6.

These files have no tcp_info, no cookie, no interface, and not the limit of a listener's accept queue.
"""

import os
import struct

import numpy as np

from portside.kernel import states
from portside.kernel.backend import BackendError, Dump, DumpRequest
from portside.kernel.column_names import ATTRIBUTE_COLUMNS, INFO_COLUMNS, SKMEM_COLUMNS
from portside.kernel.decoder import unavailable_inodes
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import BASE
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable, Unavailable

# The namespace of the thread that opens it; /proc/net is that of the process's first thread.
_FOLDER = "/proc/thread-self/net"
_FILES = {4: "tcp", 6: "tcp6"}
_FAMILIES = {4: IPV4, 6: IPV6}
_NOT_IN_PROC = "/proc/net/tcp does not tell it"
_PROBING = (2, 4)  # keepalive and persist timers count probes, which the file writes in another column
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_MOST = 0xFFFFFFFF

_WORD = struct.Struct("=I")
_MESSAGE = struct.Struct("=BBBB2s2s16s16s12xIIIII")


class ProcBackend:
    """/proc/net/tcp and tcp6 of a network namespace: this process's own, or another."""

    name = "proc"

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def read(self, request: DumpRequest) -> Dump:
        """Read every socket of the requested families, in every state. Raises BackendError without such files."""
        texts = self._namespace.run(_read_files) if self._namespace else _read_files()
        found = []
        for family in request.families:
            text = texts.get(family)
            if text is not None:
                found.append(parse(text, family))
        if not found:
            raise BackendError("reading /proc/net/tcp", "there is no such file")
        return Dump(_table(b"".join(found)))


def parse(text: bytes, family: int) -> bytes:
    """Make a ``struct inet_diag_msg`` of each line of one file. Raises BackendError where a line is malformed."""
    try:
        return b"".join(_message(line.split(), _FAMILIES[family]) for line in text.splitlines()[1:])
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise BackendError(f"reading /proc/net/{_FILES[family]}", f"a line is not as expected: {error}") from error


def _message(fields: list[bytes], family: int) -> bytes:
    """The fields of a line: slot, both ends, state, queues, timer, retransmits, uid, probes, inode, and more."""
    state = int(fields[3], 16)
    send_q, recv_q = (int(number, 16) for number in fields[4].split(b":"))
    timer, ticks = (int(number, 16) for number in fields[5].split(b":"))
    retransmits = int(fields[6], 16) if timer not in _PROBING else int(fields[8])
    local, local_port = fields[1].split(b":")
    remote, remote_port = fields[2].split(b":")
    return _MESSAGE.pack(
        family,
        state,
        timer,
        min(retransmits, 255),
        int(local_port, 16).to_bytes(2, "big"),
        int(remote_port, 16).to_bytes(2, "big"),
        _address(local),
        _address(remote),
        min(ticks * 1000 // _TICKS_A_SECOND, _MOST),
        recv_q,
        send_q,
        int(fields[7]),
        int(fields[9]),
    )


def _address(text: bytes) -> bytes:
    """An address is written as one or four numbers of 32 bits in the machine's own byte order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    return b"".join(_WORD.pack(word) for word in words)


def _table(messages: bytes) -> SocketTable:
    base = np.frombuffer(messages, BASE)
    listening = base["state"] == states.LISTEN
    return SocketTable(
        base,
        message=np.zeros(len(base), "i8"),
        layout=np.full(len(base), -1, "i4"),
        unavailable=(
            *unavailable_inodes(base),
            Unavailable((*INFO_COLUMNS, *SKMEM_COLUMNS, *ATTRIBUTE_COLUMNS, "cookie", "interface"), None, _NOT_IN_PROC),
            Unavailable(("send_q",), listening, "/proc/net/tcp does not tell how long the accept queue may be"),
        ),
    )


def _read_files() -> dict[int, bytes]:
    texts = {}
    for family, name in _FILES.items():
        try:
            with open(f"{_FOLDER}/{name}", "rb") as file:
                texts[family] = file.read()
        except FileNotFoundError:  # a kernel without IPv6 has no tcp6
            continue
        except OSError as error:
            raise BackendError(f"reading {_FOLDER}/{name}", error) from error
    return texts
