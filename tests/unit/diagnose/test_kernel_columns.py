"""The kernel's table as a diagnosis takes it: the same values and gaps as the table has."""

import os
import resource
import socket
from dataclasses import replace

import numpy as np
import pytest
from unit.kernel.messages import attribute, socket_message
from unit.kernel.stored import NAMES, table
from unit.watch.sockets_table import made

from portside.app.diagnose_limits import _tracked, read_descriptors, read_limits
from portside.app.kernel_columns import TOGETHER, KernelColumns
from portside.diagnosis.series import GROWING
from portside.kernel.decoder import decode
from portside.kernel.inet_diag import Attribute
from portside.kernel.table import SocketTable, Unavailable


def short_infos() -> SocketTable:
    """Sockets of an old kernel, with a tcp_info that ends early, and one without any."""
    infos = [attribute(Attribute.INFO, bytes(range(1, size + 1))) for size in (60, 104, 200, 250)]
    return decode(
        b"".join(socket_message(attributes=each, cookie=at) for at, each in enumerate([*infos, b""], 1))
    ).table


def no_bytes_acked() -> SocketTable:
    return replace(table("full4"), unavailable=(Unavailable(("bytes_acked",), None, "not told"),))


@pytest.mark.parametrize(
    "sockets", [*(table(name) for name in NAMES), table(*NAMES), made(), short_infos(), no_bytes_acked()], ids=range(9)
)
def test_what_is_decoded_together_is_what_is_decoded_alone(sockets: SocketTable) -> None:
    columns = KernelColumns(sockets)
    for name in (*TOGETHER, *GROWING, "rtt_us", "state", "cookie"):
        values, known = columns.column(name)
        expected = sockets.column(name)
        np.testing.assert_array_equal(known, expected.known, name)
        np.testing.assert_array_equal(values[known], expected.values[known], name)
        assert values.dtype == expected.values.dtype


def test_addresses_have_one_form() -> None:
    four = socket_message(local=("192.0.2.1", 1))
    mapped = socket_message(local=("::ffff:192.0.2.1", 1), remote=("::1", 2), cookie=2)
    both = KernelColumns(decode(four + mapped).table).column("local")[0]
    np.testing.assert_array_equal(both[0], both[1])
    alone = KernelColumns(decode(four).table).column("remote")[0]
    assert bytes(alone[0]) == bytes(10) + b"\xff\xff\x7f\0\0\1"


def test_columns_that_a_source_does_not_have_say_why() -> None:
    columns = KernelColumns(made())
    assert columns.missing("snd_wnd")
    assert columns.missing("state") is None
    assert len(columns.select(np.array([True] + [False] * 5))) == 1


def test_a_process_near_its_limit_is_found_by_its_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as channel:
        inode = os.fstat(channel.fileno()).st_ino
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(used + 4, 10), hard))
        try:
            found = read_descriptors(np.array([inode]))
            none = read_descriptors(np.array([1]))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found is not None
    assert [each.limit for each in found if each.pid == os.getpid()] == [max(used + 4, 10)]
    assert none is not None
    assert os.getpid() not in [each.pid for each in none]
    assert read_descriptors(np.array([1]), proc="/nowhere") is None


def test_limits_of_this_machine_are_read() -> None:
    limits = read_limits(np.array([1]))
    assert limits.port_range is not None
    assert limits.page_bytes >= 4096
    assert _tracked(1, None) is None
    assert _tracked(1, 2) == (1, 2)
