"""The parts of the server, each alone."""

import gc
import os
import socket
from pathlib import Path

import pytest

from portside.errors import PortsideError, UsageError
from portside.server.admission import Admission, networks_of, read_networks
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


@pytest.mark.parametrize("net", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::FFFF:0a00:0/104", "0:0:0:0:0:ffff:a00:1/104"])
def test_a_network_is_the_same_in_each_of_its_forms(net: str) -> None:
    allowing, denying = Admission(allowed=networks_of(net, "")), Admission(denied=networks_of(net, ""))
    for ip in ("10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"):
        assert allowing.admit(ip) is None
        assert denying.admit(ip) == "denied"
    for ip in ("11.1.2.3", "::ffff:11.1.2.3", "::10.1.2.3", "::1"):
        assert allowing.admit(ip) == "denied"
        assert denying.admit(ip) is None


def test_all_mapped_addresses_are_all_of_ipv4_and_no_shorter_network_is() -> None:
    assert Admission(denied=networks_of("::ffff:0:0/96", "")).admit("192.0.2.1") == "denied"
    assert Admission(denied=networks_of("::/0", "")).admit("192.0.2.1") is None
    assert Admission(denied=networks_of("::/0", "")).admit("::1") == "denied"


def test_a_network_without_an_interface_is_of_every_link() -> None:
    allowing = Admission(allowed=networks_of("fe80::/10", ""))
    assert allowing.admit("fe80::1%eth0") is None
    assert allowing.admit("fe80::1") is None
    assert allowing.admit("::1") == "denied"


@pytest.mark.parametrize("net", ["fe80::%lo/64", "fe80::2%lo/64", "fe80::1%lo", "fe80::1%1"])
def test_a_network_of_one_link_does_not_let_in_another(net: str) -> None:
    assert socket.if_nametoindex("lo") == 1
    allowing = Admission(allowed=networks_of(net, ""))
    assert allowing.admit("fe80::1%lo") is None
    assert allowing.admit("fe80::1%1") is None
    assert allowing.admit("fe80::1%999") == "denied"
    assert allowing.admit("fe80::1") == "denied"


@pytest.mark.parametrize("net", ["::1%lo", "2001:db8::%lo/32", "::%lo/0"])
def test_only_a_link_local_network_names_an_interface(net: str) -> None:
    with pytest.raises(UsageError, match="no address, network or name"):
        networks_of(net, "--deny")


def test_an_interface_called_by_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (7, "1")])
    allowing = Admission(allowed=networks_of("fe80::1%1", ""))
    assert allowing.admit("fe80::1%1") is None
    assert allowing.admit("fe80::1%lo") == "denied"


def test_a_name_whose_address_is_of_one_link(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    allowing = Admission(allowed=networks_of("near.local", ""))
    assert allowing.admit("fe80::1%lo") is None
    assert allowing.admit("fe80::1%eth0") == "denied"


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3.4/33", "a b", "1.2.3.4,", "1.2.3.4, 1.2.3.5", "1.2.3/8", "10.1", "10", "0x7f000001", "0177.0.0.1"],
)
def test_what_names_no_network(text: str) -> None:
    with pytest.raises(UsageError, match="no address, network or name"):
        networks_of(text, "--allow")


def test_a_name_that_cannot_be_resolved() -> None:
    with pytest.raises(PortsideError, match=r"^--allow no-such-host\.invalid: "):
        networks_of("no-such-host.invalid", "--allow")


def test_the_entry_of_a_file_that_names_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "nets").write_text("10.0.0.0/8, 10.1 192.0.2.1\n")
    with pytest.raises(UsageError, match=f"^--allow-file {tmp_path}/nets: 10.1: no address, network or name$"):
        read_networks(f"{tmp_path}/nets", "--allow-file")


def test_a_file_of_networks_without_an_end() -> None:
    with pytest.raises(PortsideError, match=r"^--allow-file /dev/zero: it has more than \d+ characters$"):
        read_networks("/dev/zero", "--allow-file")


def test_a_file_of_networks_that_cannot_be_read(tmp_path: object) -> None:
    with pytest.raises(PortsideError, match=f"^--deny-file {tmp_path}/x: No such file or directory$"):
        read_networks(f"{tmp_path}/x", "--deny-file")
