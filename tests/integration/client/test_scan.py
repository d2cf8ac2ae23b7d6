"""What is open."""

import os
import random
import resource
import socket
from contextlib import ExitStack

import pytest
from integration.client.conftest import RESOLVING, Connect, MakePeer, Peer
from support import free_port

APART = "127.55.44.33"
"""Where all ports may be scanned: at 127.0.0.1 servers of other tests, which run meanwhile, serve one client alone."""


@pytest.fixture
def block(make_peer: MakePeer) -> tuple[int, list[int]]:
    """Eight ports of 127.0.0.1 in a row: the first one, and those of them that are open."""
    for _ in range(100):
        first = random.randrange(20_000, 32_000)  # below those that the kernel gives to clients
        with ExitStack() as trial:
            try:
                for port in range(first, first + 8):
                    trial.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
        open_ports = [first, first + 3, first + 7]
        for port in open_ports:
            make_peer(where=("127.0.0.1", port))
        return first, open_ports
    raise AssertionError("no eight free ports")


def test_one_open_port(connect: Connect, peer: Peer) -> None:
    program = connect("-z", peer.address)
    assert program.wait() == 0
    assert program.lines == [f"{peer.address} open"]
    assert not program.err


def test_one_closed_port(connect: Connect) -> None:
    program = connect("-z", "-v", "127.0.0.1", "1")
    assert program.wait() == 1
    assert not program.out
    assert program.err.decode() == "portside: 127.0.0.1:1: Connection refused\n"


def test_a_range_in_order(connect: Connect, block: tuple[int, list[int]]) -> None:
    first, open_ports = block
    program = connect("-z", "-v", "127.0.0.1", f"{first}-{first + 7}")
    assert program.wait() == 0
    assert program.lines == [f"127.0.0.1:{port} open" for port in open_ports]
    assert program.err.decode().splitlines() == [
        f"portside: 127.0.0.1:{port} closed: Connection refused"
        for port in range(first, first + 8)
        if port not in open_ports
    ]


def test_a_range_without_an_open_port(connect: Connect) -> None:
    program = connect("--scan", "127.0.0.1:1-5")
    assert program.wait() == 1
    assert program.err.decode() == "portside: 127.0.0.1:1-5: none of 5 ports is open\n"


def test_a_port_that_does_not_answer(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer(backlog=0)
    with socket.create_connection(("127.0.0.1", peer.port)):
        program = connect("-z", "-w", "200ms", peer.address)
        assert program.wait() == 1
    program.wait_for("no answer within 0.2s", err=True)


def test_all_ports_with_few_descriptors(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer(where=(APART, 0))
    program = connect("-z", f"{APART}:1-65535", preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    assert program.wait(100) == 0
    assert f"{APART}:{peer.port} open" in program.lines
    ports = [int(line.split(":")[1].split()[0]) for line in program.lines]
    assert ports == sorted(ports)


def test_a_host_with_several_addresses(connect: Connect, peer: Peer) -> None:
    program = connect("-z", f"several.test:{peer.port}", command=RESOLVING, env={"SEVERAL": "::1 127.0.0.2 127.0.0.1"})
    assert program.wait() == 0
    assert program.lines == [f"{peer.address} open"]


def test_a_source_that_is_not_here(connect: Connect, peer: Peer) -> None:
    program = connect("-z", "-s", "192.0.2.77", peer.address)
    assert program.wait() == 1
    program.wait_for(r"Cannot assign requested address \(from 192.0.2.77\)$", err=True)


def test_a_reader_that_leaves_ends_it_quietly(connect: Connect, peer: Peer) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    program = connect("-z", peer.address, stdout=write_end)
    os.close(write_end)
    assert program.wait() == 0
    assert not program.err


def test_waiting_for_a_port_to_open(connect: Connect, make_peer: MakePeer) -> None:
    where = ("127.0.0.1", free_port())
    program = connect("-z", "-v", "--retry", "forever", "--retry-interval", "20ms", f"127.0.0.1:{where[1]}")
    program.wait_for("trying again", err=True)
    peer = make_peer(where=where)
    assert program.wait() == 0
    assert program.lines == [f"{peer.address} open"]


def test_an_unknown_host(connect: Connect) -> None:
    assert connect("-z", "no-such-name.invalid:1-3").wait() == 1


def test_the_connection_that_found_it_is_closed_in_order(connect: Connect, peer: Peer) -> None:
    program = connect("-z", peer.address)
    assert peer.accept().recv(1) == b""
    assert program.wait() == 0
