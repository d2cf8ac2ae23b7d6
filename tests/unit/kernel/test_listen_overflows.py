"""ListenOverflows and ListenDrops."""

import pytest

from portside.kernel import listen_overflows


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        (
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 3 5\nIpExt: A\nIpExt: 1\n",
            {"SyncookiesSent": 0, "ListenOverflows": 3, "ListenDrops": 5},
        ),
        ("TcpExt: ListenOverflows\nTcpExt: x\n", {}),
        ("TcpExt: ListenOverflows\n", {}),
        ("", {}),
    ],
)
def test_counters(text: str, counters: dict[str, int]) -> None:
    assert listen_overflows.parse(text) == counters


def test_of_this_machine() -> None:
    counts = listen_overflows.read_listen_overflows()
    assert counts is not None
    assert min(counts) >= 0


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen_overflows, "_PATH", "/nowhere/netstat")
    assert listen_overflows.read_listen_overflows() is None
    monkeypatch.setattr(listen_overflows, "_PATH", "/proc/self/stat")
    assert listen_overflows.read_listen_overflows() is None
