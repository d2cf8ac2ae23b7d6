"""Answers of sock_diag: stored ones of a real kernel, and made ones of kernels that we do not have."""

import struct
import sys

import numpy as np
import pytest
from unit.kernel.messages import LISTEN, TIME_WAIT, attribute, message, socket_message, tcp_info
from unit.kernel.stored import EXPECTED, NAMES, stored, table

from portside.kernel.decoder import DecodeError, decode
from portside.kernel.inet_diag import INFO_BITS, accecn_bits
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket


def by_local(name: str) -> dict[str, Socket]:
    return {socket.local: socket for socket in to_sockets(table(name))}


def test_an_established_connection() -> None:
    socket = by_local("full4")[f"127.0.0.1:{EXPECTED['four']}"]
    assert (socket.proto, socket.family, socket.state) == ("tcp", 4, "ESTABLISHED")
    assert (socket.recv_q, socket.send_q) == (1000, 0)
    assert socket.remote == f"127.0.0.1:{EXPECTED['listener']}"
    assert (socket.inode, socket.uid) == (EXPECTED["four_inode"], EXPECTED["uid"])
    info = socket.info
    assert info is not None
    assert (info["bytes_sent"], info["bytes_received"], info["bytes_acked"]) == (30, 1000, 31)
    assert info["mss"] == 32768
    assert info["retrans_total"] == 0
    assert isinstance(info["rtt_us"], int)
    assert info["options"] == ["timestamps", "sack", "wscale"]
    assert isinstance(info["skmem"], dict)
    assert info["skmem"]["rmem_alloc"] >= 1000
    assert isinstance(info["congestion"], str)
    assert isinstance(info["cgroup"], int)
    assert info["app_limited"] is None or isinstance(info["app_limited"], bool)


def test_a_listener_has_its_queue_and_limit_and_no_remote_end() -> None:
    (socket,) = (socket for socket in to_sockets(table("full4")) if socket.listening)
    assert (socket.state, socket.local) == ("LISTEN", f"127.0.0.1:{EXPECTED['listener']}")
    assert (socket.recv_q, socket.send_q, socket.remote) == (1, 7, None)
    assert socket.inode == EXPECTED["listener_inode"]
    assert socket.gaps["info"] == "a listener carries no data"
    assert socket.info is not None
    assert "rtt_us" not in socket.info
    assert "drops" in socket.info["skmem"]


def test_a_connection_that_waits_to_be_accepted_has_no_inode() -> None:
    queued = [s for s in to_sockets(table("full4")) if s.remote == f"127.0.0.1:{EXPECTED['queued']}"]
    assert [s.inode for s in queued] == [None]
    assert queued[0].gaps["inode"] == "no program has accepted it yet"


def test_an_ipv4_connection_of_an_ipv6_socket_reads_as_ipv4() -> None:
    socket = by_local("full6")[f"127.0.0.1:{EXPECTED['dual']}"]
    assert (socket.proto, socket.family) == ("tcp6", 6)
    assert socket.remote == f"127.0.0.1:{EXPECTED['mapped']}"


def test_the_states_of_ipv6_connections() -> None:
    sockets = by_local("full6")
    assert sockets[f"[::1]:{EXPECTED['half']}"].state == "FIN_WAIT2"
    assert sockets[f"[::1]:{EXPECTED['six']}"].state == "ESTABLISHED"
    states = sorted(socket.state for socket in to_sockets(table("full6")))
    assert states == ["CLOSE_WAIT", "ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "FIN_WAIT2", "LISTEN", "TIME_WAIT"]


def test_of_time_wait_the_kernel_keeps_little() -> None:
    (socket,) = (socket for socket in to_sockets(table("full6")) if socket.state == "TIME_WAIT")
    assert (socket.recv_q, socket.send_q, socket.inode, socket.uid) == (0, 0, None, None)
    assert {"inode", "uid", "info"} <= socket.gaps.keys()
    assert socket.info is not None
    assert socket.info["timer"] == "timewait"
    assert "rtt_us" not in socket.info


def test_without_details_only_the_message_is_known() -> None:
    plain, full = by_local("plain4"), by_local("full4")
    assert plain.keys() == full.keys()
    for local, socket in plain.items():
        assert (socket.recv_q, socket.send_q, socket.inode) == (
            full[local].recv_q,
            full[local].send_q,
            full[local].inode,
        )
        assert "info" in socket.gaps


def test_the_announcement_of_a_destroyed_socket_has_its_last_numbers() -> None:
    destroyed = by_local("destroyed")[f"127.0.0.1:{EXPECTED['destroyed']}"]
    assert destroyed.state == "CLOSE"
    assert destroyed.info is not None
    assert (destroyed.info["bytes_sent"], destroyed.info["bytes_received"]) == (30, 1000)


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_that_was_not_interrupted(name: str) -> None:
    assert not decode(stored(name)).interrupted


def test_an_interrupted_dump_says_so() -> None:
    assert decode(socket_message() + socket_message(flags=2 | 0x10)).interrupted


def test_nothing() -> None:
    dump = decode(b"")
    assert len(dump.table) == 0
    assert list(to_sockets(dump.table)) == []
    assert len(dump.table.column("rtt_us").values) == 0


def test_other_messages_are_passed_over() -> None:
    dump = decode(message(1) + socket_message() + message(3, struct.pack("=i", 0)))
    assert len(dump.table) == 1


@pytest.mark.parametrize("size", [104, 192, 232, 248, 256, 280, 300])
def test_tcp_info_of_older_and_newer_kernels(size: int) -> None:
    info = tcp_info(size, rtt=("I", 68, 4321), sent=("Q", 200, 77), received=("Q", 128, 55))
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, info))).table))
    assert socket.info is not None
    assert socket.info["rtt_us"] == 4321
    assert socket.info["retrans_total"] == 0
    older = "this kernel does not tell it"
    for name, end, value in (("bytes_received", 136, 55), ("bytes_sent", 208, 77), ("total_rto_time_ms", 248, 0)):
        if size >= end:
            assert socket.info[name] == value
        else:
            assert socket.info[name] is None
            assert socket.gaps[f"info.{name}"] == older


@pytest.mark.parametrize(
    ("release", "word", "modes"),
    [
        ("6.18.44", 0x0002_0005, (None, 2, 5)),
        ("6.19.0-rc1", 0x0003_0000, (None, 3, 0)),
        ("7.0.3", 0x5A, (2, 2, 5)),
        ("7.0.3", 0xFFFFFF03, (3, 0, 0)),
        ("10.1", 0x10, (0, 0, 1)),
        ("strange", 0x01, (1, 0, 0)),
    ],
)
def test_where_a_kernel_has_the_modes_of_accurate_ecn(
    monkeypatch: pytest.MonkeyPatch, release: str, word: int, modes: tuple[int | None, ...]
) -> None:
    for name, place in accecn_bits(release, little=sys.byteorder == "little").items():
        monkeypatch.setitem(INFO_BITS, name, place)
    if sys.byteorder == "big" and release.startswith("6"):
        word = (word & 0xFFFF) << 16 | word >> 16
    elif sys.byteorder == "big":
        word = (word & 3) << 30 | (word >> 2 & 3) << 28 | (word >> 4 & 15) << 24
    info = tcp_info(280, accecn=("I", 276, word))
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, info))).table))
    assert socket.info is not None
    assert tuple(socket.info[name] for name in ("ecn_mode", "accecn_opt_seen", "accecn_fail_mode")) == modes
    if modes[0] is None:
        assert socket.gaps["info.ecn_mode"] == "this kernel does not tell it"


def test_the_modes_of_accurate_ecn_where_numbers_begin_with_their_high_end() -> None:
    assert accecn_bits("6.18", little=False)["accecn_fail_mode"] == ("accecn", 16, 0xFFFF)
    assert accecn_bits("7.0", little=False)["ecn_mode"] == ("accecn", 30, 3)


@pytest.mark.parametrize(
    ("busy", "waited", "share", "reason"),
    [
        (1000, 400, 0.4, None),
        (3, 1, 0.3333, None),
        (1000, 0, 0.0, None),
        (1000, 1001, 1.0, None),
        (0, 0, None, "there was nothing to send yet"),
    ],
)
def test_how_much_of_its_busy_time_a_sender_waited(
    busy: int, waited: int, share: float | None, reason: str | None
) -> None:
    info = tcp_info(280, busy=("Q", 168, busy), window=("Q", 176, waited), buffer=("Q", 184, waited))
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, info))).table))
    assert socket.info is not None
    for name in ("rwnd_limited_share", "sndbuf_limited_share"):
        assert (socket.info[name], socket.gaps.get(f"info.{name}")) == (share, reason)
    assert socket.info["rwnd_limited_us"] == waited


def test_shorter_memory_counters() -> None:
    table_ = decode(socket_message(attributes=attribute(7, struct.pack("=6I", *range(6))))).table
    assert table_.column("wmem_queued").values.tolist() == [5]
    assert table_.column("wmem_queued").known.tolist() == [True]
    assert table_.column("drops").known.tolist() == [False]


def test_both_window_scales_come_from_their_own_half_of_the_byte() -> None:
    info = tcp_info(248, scales=("B", 6, 0x7A), options=("B", 5, 4))
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, info))).table))
    assert socket.info is not None
    assert (socket.info["snd_wscale"], socket.info["rcv_wscale"]) == (10, 7)


def test_window_scales_that_were_not_agreed_on_are_unknown() -> None:
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, tcp_info(248)))).table))
    assert socket.info is not None
    assert socket.info["snd_wscale"] is None
    assert socket.gaps["info.snd_wscale"] == "window scaling was not agreed on"


def test_what_was_not_measured_is_unknown() -> None:
    info = tcp_info(
        248, min_rtt=("I", 148, 0xFFFFFFFF), ssthresh=("I", 76, 0x7FFFFFFF), pacing=("Q", 104, (1 << 64) - 1)
    )
    socket = next(to_sockets(decode(socket_message(attributes=attribute(2, info))).table))
    assert socket.info is not None
    for name in ("rtt_us", "rttvar_us", "min_rtt_us", "ssthresh", "pacing_rate", "delivery_rate"):
        assert socket.info[name] is None
        assert f"info.{name}" in socket.gaps


def test_unknown_attributes_are_passed_over() -> None:
    attributes = attribute(999, b"abc") + attribute(2, tcp_info(248, rtt=("I", 68, 5))) + attribute(40, b"")
    assert decode(socket_message(attributes=attributes)).table.column("rtt_us").values.tolist() == [5]


def test_flags_of_an_attribute_are_no_part_of_its_number() -> None:
    attributes = attribute(2 | 0x8000, tcp_info(248, rtt=("I", 68, 5)))
    assert decode(socket_message(attributes=attributes)).table.column("rtt_us").values.tolist() == [5]


def test_layouts_side_by_side_keep_each_socket_its_own_numbers() -> None:
    messages = []
    for number in range(50):
        info = attribute(2, tcp_info(200 + number % 3 * 8, rtt=("I", 68, number + 1)))
        other = attribute(15, struct.pack("=I", number))
        messages.append(socket_message(cookie=number, attributes=info + other if number % 2 else other + info))
    table_ = decode(b"".join(messages)).table
    assert table_.column("rtt_us").values.tolist() == list(range(1, 51))
    assert table_.column("mark").values.tolist() == list(range(50))
    assert table_.column("cookie").values.tolist() == list(range(50))
    chosen = table_.select(np.array([40, 3, 3]))
    assert chosen.column("rtt_us").values.tolist() == [41, 4, 4]


def test_a_short_congestion_name_and_a_long_one() -> None:
    names = [b"bbr\0", b"cubic\0", b"a-name-that-is-much-too-long\0"]
    table_ = decode(b"".join(socket_message(attributes=attribute(4, name)) for name in names)).table
    assert table_.column("congestion").values.tolist() == [b"bbr", b"cubic", b"a-name-that-is-m"]


def test_who_has_no_inode_and_why() -> None:
    messages = (
        socket_message(state=TIME_WAIT, timer=(3, 100, 0), uid=0, inode=0),
        socket_message(state=3, timer=(1, 100, 2), uid=0, inode=0),
        socket_message(state=1, uid=0, inode=0),
        socket_message(state=4, uid=5, inode=0),
        socket_message(state=5, timer=(3, 100, 0), uid=0, inode=0),
        socket_message(state=LISTEN, uid=0, inode=9),
    )
    gaps = [
        (socket.gaps.get("inode"), socket.gaps.get("uid")) for socket in to_sockets(decode(b"".join(messages)).table)
    ]
    waiting = "its program closed it, and the kernel keeps only that it was"
    handshake = "no program has a connection whose handshake is not finished"
    queued = "no program has accepted it yet"
    assert gaps == [
        (waiting, waiting),
        (handshake, handshake),
        (queued, queued),
        ("its program closed it", None),
        (waiting, waiting),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (struct.pack("=IHHII", 15, 20, 0, 0, 0), "a message of 15 bytes"),
        (struct.pack("=IHHII", 0, 20, 0, 0, 0), "a message of 0 bytes"),
        (struct.pack("=IHHII", 20, 20, 0, 0, 0), "is cut"),
        (struct.pack("=IHHII", 20, 20, 0, 0, 0) + bytes(4), "a message about a socket has 20 bytes"),
        (socket_message(attributes=struct.pack("=HH", 3, 2)), "an attribute of 3 bytes"),
        (socket_message(attributes=struct.pack("=HH", 9, 2) + bytes(4)), "an attribute of 9 bytes where 8 are left"),
        (socket_message().replace(b"\x02\x01", b"\x07\x01", 1), "a family other than"),
        (b"\1", ""),
        (b"\1\0\0\0\0", "a message of 1 bytes"),
    ],
)
def test_what_is_no_answer(data: bytes, problem: str) -> None:
    if not problem:  # less than a word is left: nothing can be in it
        assert len(decode(data).table) == 0
        return
    with pytest.raises(DecodeError, match=problem):
        decode(data)
