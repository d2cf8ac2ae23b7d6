"""Scanning where sockets run short."""

import errno
import os
import socket

import pytest

from portside.addresses import parse_address
from portside.client import scan as module
from portside.client.dial import Candidate, ConnectOptions
from portside.client.scan import PortResult, scan
from portside.errors import PortsideError


def test_no_sockets_left_is_a_failure_and_no_closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(candidate: Candidate, route: ConnectOptions) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module, "open_socket", none_left)
    with pytest.raises(PortsideError, match=r"^cannot scan: Too many open files$"):
        list(scan(parse_address("127.0.0.1:1-3"), ConnectOptions()))


def test_the_results_behind_a_silent_port_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_RESULTS_AHEAD", 10)
    with socket.socket() as silent, socket.socket() as fill:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        fill.connect(("127.0.0.1", port))
        first, last = max(1, port - 5), min(65535, port + 100)
        results = list(scan(parse_address(f"127.0.0.1:{first}-{last}"), ConnectOptions(0.3)))
    assert len(results) == last - first + 1
    assert results[port - first] == PortResult(f"127.0.0.1:{port}", "no answer within 0.3s")


def test_one_that_is_given_up_leaves_no_socket_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        results = scan(parse_address(f"127.0.0.1:{listener.getsockname()[1]}"), ConnectOptions())
        assert next(results).failure is None
        results.close()  # type: ignore[attr-defined]
