"""Counters and settings of a network namespace: /proc/net/snmp, netstat and sockstat, and /proc/sys."""

import os
from pathlib import Path

import pytest

from portside.kernel import network_counters
from portside.kernel.network_counters import NetworkCounters, parse_counters, parse_gauges, read_settings

SNMP = "Ip: Forwarding\nIp: 1\nTcp: MaxConn ActiveOpens OutRsts\nTcp: -1 18446744073709551615 7\n"
SOCKSTAT = "sockets: used 295\nTCP: inuse 5 orphan 2 tw 3 alloc 7 mem 4\nUDP: inuse\n"


def test_counters_are_named_by_their_group() -> None:
    assert parse_counters(SNMP) == {"Ip.Forwarding": 1, "Tcp.ActiveOpens": 2**64 - 1, "Tcp.OutRsts": 7}
    assert parse_gauges(SOCKSTAT) == {
        "sockets.used": 295, "TCP.inuse": 5, "TCP.orphan": 2, "TCP.tw": 3, "TCP.alloc": 7, "TCP.mem": 4,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "Tcp:", "Tcp: a\nUdp: 1\n", "Tcp: a b\nTcp: x 1²\n", "\n\n", "Tcp: a\nTcp:\n"])
def test_what_is_malformed_is_left_out(text: str) -> None:
    assert parse_counters(text) == {}
    assert "Tcp.b" not in parse_gauges(text)


def test_this_machine_tells_its_counters() -> None:
    with NetworkCounters() as counters:
        read = counters.read()
        assert {"TcpExt.ListenOverflows", "Tcp.OutRsts", "TCP.orphan", "TCP.mem"} <= read.keys()
        assert counters.missing == {}
        assert counters.read()["Tcp.InSegs"] >= read["Tcp.InSegs"]
    counters.close()


def test_files_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snmp").write_text(SNMP)
    os.mkdir(tmp_path / "sockstat")  # opens, and cannot be read
    monkeypatch.setattr(network_counters, "_FOLDER", str(tmp_path))
    with NetworkCounters() as counters:
        assert counters.read()["Tcp.OutRsts"] == 7
        assert counters.missing == {"netstat": "No such file or directory", "sockstat": "Is a directory"}


def test_settings_that_cannot_be_read_are_left_out() -> None:
    found = read_settings(("net.ipv4.ip_local_port_range", "net.ipv4.no_such_thing", "kernel.ostype"))
    assert list(found) == ["net.ipv4.ip_local_port_range"]
    assert len(found["net.ipv4.ip_local_port_range"]) == 2
