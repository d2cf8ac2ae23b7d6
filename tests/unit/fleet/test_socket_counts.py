"""The sockets of a table by local port."""

from unit.kernel.messages import ESTABLISHED, LISTEN, TIME_WAIT, socket_message

from portside.fleet.metrics.facts import PortCount, SocketCounts
from portside.fleet.metrics.socket_counts import count_sockets, kernel_ports
from portside.kernel.decoder import decode
from portside.kernel.table import SocketTable, Unavailable

CHOSEN = range(32768, 61000)


def at(port: int, state: int = ESTABLISHED, queues: tuple[int, int] = (0, 0)) -> bytes:
    return socket_message(local=("10.0.0.1", port), state=state, queues=queues)


def table(*messages: bytes) -> SocketTable:
    return decode(b"".join(messages)).table


def test_sockets_are_counted_by_port_and_state() -> None:
    counts = count_sockets(
        table(
            at(80, LISTEN, (3, 128)),
            at(80, queues=(10, 20)),
            at(80, queues=(1, 2)),
            at(80, TIME_WAIT),
            at(443, LISTEN),
            at(40000, queues=(5, 6)),
        ),
        CHOSEN,
    )
    assert counts == SocketCounts(
        states={"ESTABLISHED": 3, "TIME_WAIT": 1, "LISTEN": 2},
        ports=(
            PortCount(80, {"ESTABLISHED": 2, "TIME_WAIT": 1, "LISTEN": 1}, 11, 22),
            PortCount(443, {"LISTEN": 1}, 0, 0),
            PortCount(None, {"ESTABLISHED": 1}, 5, 6),
        ),
    )


def test_a_port_that_the_kernel_chose_has_no_place_unless_somebody_listens_on_it() -> None:
    counts = count_sockets(table(at(40000), at(40000), at(40001, LISTEN), at(2049)), CHOSEN)
    assert [each.port for each in counts.ports] == [40001, 2049, None]


def test_the_number_of_ports_is_bounded_and_nothing_is_lost() -> None:
    """Those that listen come first, of them the busiest; then the busiest of the others."""
    sockets = [at(port, LISTEN) for port in range(1, 101)] + [at(50)] * 2 + [at(7)] + [at(200)] * 9
    counts = count_sockets(table(*sockets), CHOSEN, most=3)
    assert [each.port for each in counts.ports] == [50, 7, 1, None]
    assert counts.ports[-1].states == {"LISTEN": 97, "ESTABLISHED": 9}
    assert [each.port for each in count_sockets(table(*sockets), CHOSEN, most=101).ports][-2:] == [100, 200]


def test_queues_that_the_table_does_not_tell_are_not_known() -> None:
    known = table(at(80, queues=(1, 2)))
    counts = count_sockets(
        SocketTable(known.base, known.message, known.layout, unavailable=(Unavailable(("recv_q",), None, "no"),)),
        CHOSEN,
    )
    assert counts.ports == (PortCount(80, {"ESTABLISHED": 1}, None, 2),)


def test_states_of_a_later_kernel_are_counted_together() -> None:
    counts = count_sockets(table(at(80, 12), at(80, 3), at(80, 77), at(80, 78)), CHOSEN)
    assert counts.states == {"SYN_RECV": 2, "STATE_15": 2}


def test_no_socket() -> None:
    assert count_sockets(table(), CHOSEN) == SocketCounts({}, ())


def test_the_ports_of_this_kernel() -> None:
    ports = kernel_ports()
    assert 1 <= ports.start < ports.stop <= 65536
