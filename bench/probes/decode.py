"""`python -m bench.probes.decode plain|details TIMES`: a dump made a table, and the same dump received and dropped."""

import json
import socket
import struct
import sys
import time

from portside.kernel.backend import DumpRequest
from portside.kernel.dump_reader import (
    FAMILIES,
    HEADER,
    NETLINK_SOCK_DIAG,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    REQUEST,
)
from portside.kernel.inet_diag import NLMSG_DONE, SOCK_DIAG_BY_FAMILY, Extension
from portside.kernel.netlink import NetlinkBackend

_END = struct.Struct("=IHHIIi")  # struct nlmsghdr, and an errno: the end of a dump


def main() -> None:
    want = DumpRequest(details=sys.argv[1] == "details")
    source = NetlinkBackend()
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
    area = bytearray(1 << 16)
    table_ms, raw_ms = [], []
    sockets = 0
    for number in range(int(sys.argv[2]) + 1):
        start = time.perf_counter()
        sockets = len(source.read(want).table)
        between = time.perf_counter()
        _receive(channel, want, area)
        end = time.perf_counter()
        if number:  # the first time, memory is taken and modules are warmed
            table_ms.append((between - start) * 1e3)
            raw_ms.append((end - between) * 1e3)
    print(json.dumps({"table": table_ms, "raw": raw_ms, "sockets": sockets}))


def _receive(channel: socket.socket, want: DumpRequest, area: bytearray) -> None:
    """The same requests, and each datagram over the one before."""
    for family in want.families:
        extensions = Extension.ALL if want.details else 0
        request = REQUEST.pack(FAMILIES[family], socket.IPPROTO_TCP, extensions, want.states, bytes(48))
        size = HEADER.size + len(request)
        channel.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + request)
        while True:
            filled = channel.recv_into(area)
            length, kind, *_ = _END.unpack_from(area, filled - _END.size)
            if (length, kind) == (_END.size, NLMSG_DONE):
                break


if __name__ == "__main__":
    main()
