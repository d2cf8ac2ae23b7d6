"""The table: columns with what is known of them, selections, values and their JSON."""

import json

import numpy as np
import pytest
from unit.kernel.messages import LISTEN, TIME_WAIT, attribute, socket_message, tcp_info
from unit.kernel.stored import table

from portside.kernel import states
from portside.kernel.address_text import endpoints, remotes
from portside.kernel.column_names import COLUMNS
from portside.kernel.decoder import decode
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner, to_json
from portside.kernel.table import SocketTable, Unavailable


def made(*messages: bytes) -> SocketTable:
    return decode(b"".join(messages)).table


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_each_column_has_a_value_and_a_mask_for_each_socket(name: str) -> None:
    sockets = table("full4", "full6", "plain4", "destroyed")
    column = sockets.column(name)
    assert len(column.values) == len(column.known) == len(sockets) == 23
    known = ~column.known
    for where, reason in sockets.reasons_unknown(name):
        assert reason
        known |= where
    unknown = np.zeros(len(sockets), bool)
    for where, _ in sockets.reasons_unknown(name):
        unknown |= where
    assert (unknown == ~column.known).all()


def test_there_is_no_such_column() -> None:
    with pytest.raises(KeyError):
        table("full4").column("colour")


def test_a_selection_is_the_same_sockets() -> None:
    sockets = table("full4", "full6")
    rows = list(to_sockets(sockets))
    odd = np.arange(len(sockets)) % 2 == 1
    assert list(to_sockets(sockets.select(odd))) == rows[1::2]
    assert list(to_sockets(sockets.select(np.array([4, 2])))) == [rows[4], rows[2]]
    assert list(to_sockets(sockets))[3] == rows[3]
    assert list(to_sockets(sockets))[-1] == rows[-1]
    with pytest.raises(IndexError):
        list(to_sockets(sockets))[len(sockets)]


def test_more_sockets_than_a_batch() -> None:
    sockets = made(*(socket_message(cookie=number, inode=number + 1) for number in range(5000)))
    assert [socket.inode for socket in to_sockets(sockets)] == list(range(1, 5001))


def test_the_json_of_a_socket() -> None:
    info = attribute(2, tcp_info(248, rtt=("I", 68, 250), retrans=("I", 100, 3)))
    sockets = made(socket_message(queues=(5, 6), attributes=info)).with_owners({77: (Owner(53140, "python3", 5),)})
    line = json.loads(to_json(next(to_sockets(sockets))))
    assert list(line)[:11] == [
        "proto", "family", "state", "recv_q", "send_q", "local", "remote", "inode", "uid", "owners", "info",
    ]  # fmt: skip
    assert line["owners"] == [{"pid": 53140, "program": "python3", "fd": 5, "command": None}]
    assert line["gaps"]["owners.command"] == "not looked up"
    assert (line["info"]["rtt_us"], line["info"]["retrans_total"]) == (250, 3)
    assert line["info"]["min_rtt_us"] == 0


def test_the_json_has_gaps_only_where_there_are_any() -> None:
    socket = next(to_sockets(made(socket_message()).with_owners({})))
    assert socket.gaps == {"info": "the kernel did not tell it"}
    assert b'"gaps":{"info"' in to_json(socket)
    socket.gaps.clear()
    assert "gaps" not in json.loads(to_json(socket))


def test_owners_that_were_not_looked_up_are_unknown() -> None:
    socket = next(to_sockets(made(socket_message())))
    assert socket.owners is None
    assert socket.gaps["owners"] == "not looked up"


def test_owners_that_may_be_hidden_are_unknown() -> None:
    sockets = made(socket_message(inode=1), socket_message(inode=2), socket_message(inode=0))
    found = list(to_sockets(sockets.with_owners({1: (Owner(9, "nc", 3),)}, "2 processes could not be read")))
    assert [socket.owners for socket in found] == [(Owner(9, "nc", 3),), None, ()]
    assert found[1].gaps["owners"] == "2 processes could not be read"


def test_nobody_holds_it() -> None:
    assert next(to_sockets(made(socket_message(inode=2)).with_owners({}))).owners == ()


def test_a_gap_of_a_source_hides_a_column() -> None:
    sockets = made(socket_message(state=LISTEN, queues=(3, 0)), socket_message())
    listening = sockets.base["state"] == states.LISTEN
    sockets = SocketTable(
        sockets.base,
        sockets.message,
        sockets.layout,
        sockets.messages,
        unavailable=(Unavailable(("send_q",), listening, "no limit"), Unavailable(("rtt_us",), None, "no time")),
    )
    assert sockets.column("send_q").known.tolist() == [False, True]
    assert sockets.reasons_unknown("rtt_us")[0][1] == "no time"
    assert [(socket.send_q, socket.gaps.get("send_q")) for socket in to_sockets(sockets)] == [
        (None, "no limit"),
        (0, None),
    ]


@pytest.mark.parametrize(
    ("local", "interface", "end", "bound"),
    [
        ("127.0.0.1", 0, "127.0.0.1:12345", "127.0.0.1:12345"),
        ("127.0.0.1", 3, "127.0.0.1:12345", "127.0.0.1%eth0:12345"),
        ("0.0.0.0", 4, "0.0.0.0:12345", "0.0.0.0%4:12345"),
        ("::", 0, "[::]:12345", "[::]:12345"),
        ("::1", 3, "[::1]:12345", "[::1%eth0]:12345"),
        ("::ffff:10.1.2.3", 3, "10.1.2.3:12345", "10.1.2.3%eth0:12345"),
        ("fe80::1", 0, "[fe80::1]:12345", "[fe80::1]:12345"),
        ("fe80::1", 3, "[fe80::1%eth0]:12345", "[fe80::1%eth0]:12345"),
        ("fe80::1", 4, "[fe80::1%4]:12345", "[fe80::1%4]:12345"),
    ],
)
def test_how_an_end_is_shown(local: str, interface: int, end: str, bound: str) -> None:
    sockets = made(socket_message(local=(local, 12345), remote=(local, 1), interface=interface))
    sockets = SocketTable(sockets.base, sockets.message, sockets.layout, sockets.messages, interfaces={3: "eth0"})
    assert endpoints(sockets.base, "local", sockets.interfaces) == [end]
    assert endpoints(sockets.base, "local", sockets.interfaces, bound=True) == [bound]
    info = next(to_sockets(sockets)).info
    assert info is not None
    assert info.get("interface") == ({3: "eth0", 4: "4"}.get(interface))


def test_a_listener_has_no_remote_end() -> None:
    sockets = made(socket_message(state=LISTEN), socket_message(state=TIME_WAIT, remote=("10.0.0.1", 5)))
    assert remotes(sockets.base, sockets.interfaces) == [None, "10.0.0.1:5"]


def test_timers_and_states_of_newer_kernels_have_a_name() -> None:
    socket = next(to_sockets(made(socket_message(state=13, timer=(9, 40, 2)))))
    assert socket.state == "STATE_13"
    assert socket.info is not None
    assert (socket.info["timer"], socket.info["timer_ms"], socket.info["retransmits"]) == ("timer_9", 40, 2)


def test_boolean_details() -> None:
    attributes = attribute(11, b"\1") + attribute(2, tcp_info(248, flags=("B", 7, 1), rate=("Q", 160, 9)))
    info = next(to_sockets(made(socket_message(attributes=attributes)))).info
    assert info is not None
    assert (info["v6only"], info["app_limited"], info["delivery_rate"]) == (True, True, 9)


def test_state_names_are_netstats() -> None:
    names = "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
    assert " ".join(states.name_of(number) for number in range(1, 12)) == names
    assert states.NUMBERS["SYN_RECV"] == states.SYN_RECV


def test_a_gap_of_some_sockets_does_not_hide_what_the_kernel_did_not_tell() -> None:
    sockets = made(socket_message(), socket_message(state=LISTEN), socket_message(state=TIME_WAIT, timer=(3, 1, 0)))
    gap = Unavailable(("rtt_us",), np.array([True, False, False]), "no time")
    sockets = SocketTable(sockets.base, sockets.message, sockets.layout, sockets.messages, unavailable=(gap,))
    assert sockets.column("rtt_us").known.tolist() == [False] * 3
    reasons = [
        next(reason for where, reason in sockets.reasons_unknown("rtt_us") if where[index]) for index in range(3)
    ]
    assert reasons == ["no time", "a listener carries no data", "the kernel keeps no more of a connection in TIME_WAIT"]
