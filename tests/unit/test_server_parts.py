"""The parts of the server, each alone."""

import gc
import os
import socket

import pytest

from portside.errors import PortsideError, UsageError
from portside.server.admission import Admission, parse_network, read_networks
from portside.server.listener import Listener
from portside.server.pending_connection import PendingConnection
from portside.server.timer_wheel import TimerWheel


def test_the_wheel_gives_each_item_when_it_is_due_and_not_before() -> None:
    wheel: TimerWheel[str] = TimerWheel(0.5)
    wheel.schedule("a", 10.2)
    wheel.schedule("b", 11.0)
    wheel.schedule("a again", 12.0)
    assert wheel.take_due(10.1) == []
    assert wheel.take_due(10.5) == ["a"]
    assert wheel.take_due(11.9) == ["b"]
    assert wheel
    wheel.schedule("late", 3.0)  # in the past: due at the next tick
    assert wheel.take_due(12.0) == ["a again", "late"]
    assert not wheel


def test_a_pending_connection_gives_its_descriptor_away_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        listener = Listener(sock, socket.AF_INET, "0.0.0.0:0", everywhere=True)
        with socket.create_connection(address):
            pending = PendingConnection(*listener.accept(), listener)
            fd = pending.take_fd()
            assert pending.local == f"127.0.0.1:{address[1]}"
            del pending
            gc.collect()
            os.close(fd)  # an error where somebody else has closed it


def test_admission_counts_those_inside() -> None:
    admission = Admission(most=2, most_per_ip=1)
    assert admission.admit("1.1.1.1") is None
    assert admission.admit("1.1.1.1") == "max_conns_per_ip"
    assert admission.admit(None) is None
    assert admission.admit("2.2.2.2") == "max_conns"
    admission.release("1.1.1.1")
    assert admission.admit("1.1.1.1") is None


def test_mapped_addresses_and_scopes_are_matched_as_what_they_are() -> None:
    admission = Admission(allowed=[*parse_network("10.0.0.0/8", ""), *parse_network("fe80::/10", "")])
    assert admission.admit("::ffff:10.1.2.3") is None
    assert admission.admit("fe80::1%eth0") is None
    assert admission.admit("::1") == "denied"


@pytest.mark.parametrize("text", ["", "1.2.3.4/33", "a b", "1.2.3/8"])
def test_what_names_no_network(text: str) -> None:
    with pytest.raises(UsageError, match="no address, network or name"):
        parse_network(text, "--allow")


def test_a_name_that_cannot_be_resolved() -> None:
    with pytest.raises(PortsideError, match=r"^--allow no-such-host\.invalid: "):
        parse_network("no-such-host.invalid", "--allow")


def test_a_file_of_networks_that_cannot_be_read(tmp_path: object) -> None:
    with pytest.raises(PortsideError, match=f"^--deny-file {tmp_path}/x: No such file or directory$"):
        read_networks(f"{tmp_path}/x", "--deny-file")
