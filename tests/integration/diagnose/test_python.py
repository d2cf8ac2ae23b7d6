"""``portside.diagnose``: what is wrong, as a Python function."""

import socket

import pytest

import portside
from portside.errors import PortsideError
from portside.kernel.filter import FilterError


def test_findings_are_values() -> None:
    import portside.diagnosis.diagnosis  # must not take the place of the function

    with socket.socket() as channel:
        channel.bind(("127.0.0.9", 0))
        channel.connect(channel.getsockname())
        port = channel.getsockname()[1]
        (found,) = portside.diagnose(f"sport = :{port} and src 127.0.0.9", duration=0.1, interval=0.05)
        assert isinstance(found, portside.Finding)
        assert (found.code, found.subject.remote) == ("self-connected", f"127.0.0.9:{port}")
        assert portside.diagnose(f"sport = :{port} and src 127.0.0.9", duration=0.01, ignore=["self-connected"]) == []
    assert portside.diagnose(duration=0.01, only=["self-connected"], netns="/proc/self/ns/net") == []


def test_what_cannot_be_read_is_an_error() -> None:
    with pytest.raises(FilterError):
        portside.diagnose("spotr = :12345")
    with pytest.raises(PortsideError, match="no condition is called"):
        portside.diagnose(only=["self-conected"])
    with pytest.raises(PortsideError, match="no threshold"):
        portside.diagnose(thresholds={"self-connected.age": "1s"})
    with pytest.raises(PortsideError):
        portside.diagnose(netns="/nowhere/ns")
