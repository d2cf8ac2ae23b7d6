"""Lines of /proc/net/tcp and tcp6."""

from pathlib import Path

import pytest

from portside.kernel import proc_net_tcp
from portside.kernel.backend import BackendError, DumpRequest
from portside.kernel.inet_diag_types import BASE
from portside.kernel.materialize import to_sockets
from portside.kernel.proc_net_tcp import ProcBackend, parse

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3039 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 634 1 0000000035eccec1 100 0 0 10 0
   1: 0100007F:3039 0101007F:C000 01 00000005:00000010 01:00000014 00000002     0        0 700 3 00 20 4 1 10 -1
   2: 0100007F:3039 0101007F:C001 01 00000000:00000000 02:00000064 00000000     0        7 701 3 00 20 4 1 10 -1
   3: 0100007F:3039 0101007F:C002 06 00000000:00000000 03:00000177 00000000     0        0 0 3 00
"""  # noqa: E501
TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 9 1
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:0001 08 00000000:00000001 00:00000000 00000000 0 0 0 1
"""  # noqa: E501


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(proc_net_tcp, "_FOLDER", str(tmp_path))
    (tmp_path / "tcp").write_bytes(TCP)
    return tmp_path


def test_what_the_lines_say(folder: Path) -> None:
    (folder / "tcp6").write_bytes(TCP6)
    sockets = list(to_sockets(ProcBackend().read(DumpRequest()).table.with_owners({})))
    shown = [(s.proto, s.state, s.recv_q, s.send_q, s.local, s.remote, s.inode, s.uid) for s in sockets]
    assert shown == [
        ("tcp", "LISTEN", 2, None, "127.0.0.1:12345", None, 634, 1000),
        ("tcp", "ESTABLISHED", 16, 5, "127.0.0.1:12345", "127.0.1.1:49152", 700, 0),
        ("tcp", "ESTABLISHED", 0, 0, "127.0.0.1:12345", "127.0.1.1:49153", 701, 0),
        ("tcp", "TIME_WAIT", 0, 0, "127.0.0.1:12345", "127.0.1.1:49154", None, None),
        ("tcp6", "LISTEN", 0, None, "[::1]:8080", None, 9, 0),
        ("tcp6", "CLOSE_WAIT", 1, 0, "127.0.0.1:8080", "127.0.0.2:1", None, None),
    ]
    timers = [(s.info or {}).get("timer") for s in sockets]
    assert timers == [None, "retransmit", "keepalive", "timewait", None, None]
    assert sockets[1].info == {"timer": "retransmit", "timer_ms": 200, "retransmits": 2}
    assert sockets[2].info == {"timer": "keepalive", "timer_ms": 1000, "retransmits": 7}
    assert sockets[0].info is None
    assert sockets[0].gaps == {
        "send_q": "/proc/net/tcp does not tell how long the accept queue may be",
        "info": "/proc/net/tcp does not tell it",
    }


def test_one_family_alone(folder: Path) -> None:
    (folder / "tcp6").write_bytes(TCP6)
    assert len(ProcBackend().read(DumpRequest((6,))).table) == 2
    assert len(ProcBackend().read(DumpRequest((4,))).table) == 4


def test_a_kernel_without_ipv6(folder: Path) -> None:
    assert len(ProcBackend().read(DumpRequest()).table) == 4
    with pytest.raises(BackendError, match="there is no such file"):
        ProcBackend().read(DumpRequest((6,)))


def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "tcp6").mkdir()
    with pytest.raises(BackendError, match="Is a directory"):
        ProcBackend().read(DumpRequest())


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"0: 0100007F 0:0 0A 0:0 0:0 0 0 0 0",
        b"0: zz:1 0:0 0A 0:0 0:0 0 0 0 0",
        b"0: 01:1 0:0 FFF 0:0 0:0 0 0 0 0",
    ],
)
def test_a_line_that_is_not_as_expected(line: bytes) -> None:
    with pytest.raises(BackendError, match="a line is not as expected"):
        parse(b"header\n" + line + b"\n", 4)


def test_no_line() -> None:
    assert parse(b"header\n", 4) == parse(b"", 6) == b""
    assert len(parse(TCP, 4)) == 4 * BASE.itemsize
