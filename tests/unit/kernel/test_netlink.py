"""The netlink source on its bad days: answers that are lost, cut, interrupted, late or refused."""

import errno
import os
import socket
import struct
from collections.abc import Callable

import pytest
from unit.kernel.messages import HEADER, attribute, message, socket_message

from portside.kernel import dump_reader
from portside.kernel.backend import BackendError, DumpRequest
from portside.kernel.bytecode import compile_filter
from portside.kernel.dump_reader import DumpReader, NetlinkError
from portside.kernel.filter import PortIn
from portside.kernel.materialize import to_sockets
from portside.kernel.netlink import NetlinkBackend
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable

Answer = bytes | OSError


class Channel:
    """A netlink socket that answers each request with the next row of a script."""

    def __init__(self, script: list[list[Answer]], requests: list[bytes]) -> None:
        self._script = script
        self._requests = requests
        self._waiting: list[Answer] = []

    def send(self, request: bytes) -> None:
        self._requests.append(request)
        self._waiting = list(self._script.pop(0))
        if self._waiting and isinstance(self._waiting[0], PermissionError):
            raise self._waiting[0]

    def recv_into(self, area: memoryview, size: int, flags: int) -> int:
        assert flags == socket.MSG_TRUNC
        answer = self._waiting.pop(0)
        if isinstance(answer, OSError):
            raise answer
        sequence = HEADER.unpack_from(self._requests[-1])[3]
        data = bytearray(answer)
        struct.pack_into("=I", data, 8, sequence) if data[8:12] == struct.pack("=I", 1) else None
        at = len(data) - 20
        if at > 0 and HEADER.unpack_from(data, at)[:2] == (20, 3):
            struct.pack_into("=I", data, at + 8, sequence)
        area[: len(data)] = data
        return len(data)

    def close(self) -> None:
        pass


DONE = message(3, struct.pack("=i", 0))
ONE, TWO = socket_message(cookie=1), socket_message(cookie=2)
FOUR_ONLY = DumpRequest(families=(4,))


def refusal(number: int) -> bytes:
    return message(2, struct.pack("=i", -number) + bytes(16))


Play = Callable[..., tuple[NetlinkBackend, list[bytes]]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """A source whose kernel follows a script; and the requests that it makes."""

    def played(*script: list[Answer]) -> tuple[NetlinkBackend, list[bytes]]:
        requests: list[bytes] = []
        rows = list(script)
        monkeypatch.setattr(DumpReader, "_open", lambda self: Channel(rows, requests))
        return NetlinkBackend(), requests

    return played


def cookies(table: SocketTable) -> list[int]:
    found: list[int] = table.column("cookie").values.tolist()
    return found


def test_both_families_in_one_table(play: Play) -> None:
    source, requests = play([ONE, DONE], [TWO, DONE])
    assert cookies(source.read(DumpRequest()).table) == [1, 2]
    assert [request[16] for request in requests] == [socket.AF_INET, socket.AF_INET6]
    assert [request[18] for request in requests] == [0b1001010] * 2


def test_the_request_asks_for_what_is_wanted(play: Play) -> None:
    source, requests = play([DONE])
    program = compile_filter(PortIn("local", 5, 5))
    assert program is not None
    table = source.read(DumpRequest((4,), 1 << 10, details=False, bytecode=program)).table
    assert len(table) == 0
    size, kind, flags, _, _ = HEADER.unpack_from(requests[0])
    assert (size, kind, flags) == (len(requests[0]), 20, 0x301)
    assert struct.unpack_from("=BBBxI", requests[0], 16) == (2, 6, 0, 1 << 10)
    assert requests[0][72:] == struct.pack("=HH", 4 + len(program), 1) + program


def test_what_was_not_asked_for_is_not_known(play: Play) -> None:
    source, _ = play([ONE, DONE])
    table = source.read(DumpRequest((4,), details=False)).table
    assert table.reasons_unknown("rtt_us")[0][1] == "not asked for"
    assert next(to_sockets(table)).gaps["info"] == "not asked for"


def test_the_end_may_come_with_the_last_sockets(play: Play) -> None:
    source, _ = play([ONE, TWO + DONE])
    assert cookies(source.read(FOUR_ONLY).table) == [1, 2]


def test_an_error_at_the_end_of_the_last_sockets(play: Play) -> None:
    source, _ = play([ONE + message(3, struct.pack("=i", -errno.ENOMEM))])
    with pytest.raises(NetlinkError, match="Cannot allocate memory"):
        source.read(FOUR_ONLY)


def test_an_end_that_says_nothing_is_an_end(play: Play) -> None:
    source, _ = play([ONE, message(3)])
    assert cookies(source.read(FOUR_ONLY).table) == [1]


def test_an_interrupted_dump_is_made_again(play: Play) -> None:
    source, requests = play([socket_message(flags=0x12), DONE], [ONE, TWO, DONE])
    reading = source.read(FOUR_ONLY)
    assert cookies(reading.table) == [1, 2]
    assert reading.notes == ()
    assert len(requests) == 2


def test_an_interruption_that_only_the_end_tells(play: Play) -> None:
    source, requests = play([ONE, message(3, struct.pack("=i", 0), flags=0x12)], [ONE, DONE])
    assert source.read(FOUR_ONLY).notes == ()
    assert len(requests) == 2


def test_a_dump_that_is_always_interrupted_says_so(play: Play) -> None:
    source, _ = play(*[[socket_message(flags=0x12), DONE]] * 4)
    reading = source.read(FOUR_ONLY)
    assert len(reading.table) == 1
    assert "changed during each of 4 readings" in reading.notes[0]


@pytest.mark.parametrize(
    "loss",
    [
        [ONE, OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))],
        [ONE, BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))],
        [bytes(70000)],
        [b"short"],
        [struct.pack("=IHHII", 20, 20, 0, 99, 0) + bytes(4)],
    ],
    ids=["overrun", "silence", "too-long", "too-short", "answer-to-another"],
)
def test_a_loss_is_noticed_and_the_dump_made_again(
    play: Play, loss: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_reader, "_DATAGRAM_BYTES", 1 << 16)
    source, _ = play(loss, [ONE, DONE])
    if len(loss[0]) > 1 << 16:  # type: ignore[arg-type]
        monkeypatch.setattr(Channel, "recv_into", truncated(Channel.recv_into))
    assert cookies(source.read(FOUR_ONLY).table) == [1]


def truncated(receive: Callable[..., int]) -> Callable[..., int]:
    """Tell the whole length of a datagram that did not fit, as MSG_TRUNC does."""

    def receive_into(channel: Channel, area: memoryview, size: int, flags: int) -> int:
        whole = memoryview(bytearray(1 << 17))
        length = receive(channel, whole, size, flags)
        area[: min(length, len(area))] = whole[: min(length, len(area))]
        return length

    return receive_into


def test_losses_without_end_are_an_error(play: Play) -> None:
    source, requests = play(*[[OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))]] * 4)
    with pytest.raises(BackendError, match="No buffer space"):
        source.read(FOUR_ONLY)
    assert len(requests) == 4


def test_a_kernel_that_does_not_know_the_bytecode_is_asked_without(play: Play) -> None:
    source, requests = play([refusal(errno.EINVAL)], [ONE, DONE], [TWO, DONE])
    want = FOUR_ONLY._replace(bytecode=b"1234")
    assert cookies(source.read(want).table) == [1]
    assert cookies(source.read(want).table) == [2]
    assert [len(request) for request in requests] == [80, 72, 72]


def test_a_refusal_has_its_number(play: Play) -> None:
    source, _ = play([refusal(errno.EINVAL)])
    with pytest.raises(NetlinkError, match="reading sockets by netlink: Invalid argument") as caught:
        source.read(FOUR_ONLY)
    assert caught.value.number == errno.EINVAL


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EPERM, errno.EPROTONOSUPPORT])
def test_a_kernel_without_sock_diag(play: Play, number: int) -> None:
    source, _ = play([refusal(number)])
    with pytest.raises(BackendError):
        source.read(FOUR_ONLY)


def test_a_request_that_may_not_be_sent(play: Play) -> None:
    source, _ = play([PermissionError(errno.EPERM, "no")])
    with pytest.raises(BackendError, match="Operation not permitted"):
        source.read(FOUR_ONLY)


def test_a_machine_without_ipv6(play: Play) -> None:
    source, _ = play([ONE, DONE], [refusal(errno.ENOENT)])
    assert cookies(source.read(DumpRequest()).table) == [1]


def test_ipv6_that_is_refused_for_another_reason(play: Play) -> None:
    source, _ = play([ONE, DONE], [refusal(errno.ENOMEM)])
    with pytest.raises(NetlinkError):
        source.read(DumpRequest())


def test_a_socket_that_was_told_twice_is_there_once_as_it_was_last(play: Play) -> None:
    first, last = socket_message(cookie=7, state=1), socket_message(cookie=7, state=8)
    source, _ = play([ONE, first, TWO, last, DONE])
    table = source.read(FOUR_ONLY).table
    assert [(row.state, cookie) for row, cookie in zip(to_sockets(table), cookies(table), strict=True)] == [
        ("ESTABLISHED", 1),
        ("ESTABLISHED", 2),
        ("CLOSE_WAIT", 7),
    ]


def test_an_area_that_is_full_grows_and_is_not_used_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_reader, "_AREA_BYTES", 1 << 16)
    monkeypatch.setattr(dump_reader, "_COPIED_BYTES", 0)
    many = [socket_message(cookie=number, attributes=attribute(99, bytes(2000))) for number in range(1, 100)]
    source, _ = play([*many, DONE], [TWO, DONE])
    table = source.read(FOUR_ONLY).table
    assert cookies(source.read(FOUR_ONLY).table) == [2]
    assert cookies(table) == list(range(1, 100))


def test_interfaces_have_their_names(play: Play) -> None:
    number = socket.if_nametoindex("lo")
    source, _ = play([socket_message(interface=number), DONE])
    info = next(to_sockets(source.read(FOUR_ONLY).table)).info
    assert info is not None
    assert info["interface"] == "lo"


def test_netlink_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(BackendError, match="opening netlink: Address family not supported"):
        NetlinkBackend()


def test_a_namespace_is_where_it_is_opened() -> None:
    calls = []

    class Recorded(Namespace):
        def __init__(self) -> None:
            pass

        def run(self, work: Callable[[], object]) -> object:  # type: ignore[override]
            calls.append(work)
            return work()

    NetlinkBackend(Recorded()).close()
    assert len(calls) == 1


def test_the_root_of_a_container_names_interfaces_as_he_likes(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {3: b"\x1b[31mEV\x07", 4: b"\xff\xfe0", 5: "\u202eä".encode(), 6: b"\\xff"}
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(number, os.fsdecode(name)) for number, name in names.items()])
    ends = [
        socket_message(cookie=number, interface=number, local=("fe80::1", 7), remote=("fe80::2", 8)) for number in names
    ]
    source, _ = play([*ends, DONE])
    table = source.read(FOUR_ONLY).table
    shown = ["\\x1b[31mEV\\x07", "\\xff\\xfe0", "\\u202eä", "\\\\xff"]
    assert [row.local for row in to_sockets(table)] == [f"[fe80::1%{name}]:7" for name in shown]
    assert [(row.info or {})["interface"] for row in to_sockets(table)] == shown
