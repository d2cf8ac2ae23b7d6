"""ListenOverflows and ListenDrops."""

import pytest

from portside.app import drops


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
    assert drops.parse(text) == counters


def test_of_this_machine() -> None:
    counts = drops.listen_drops()
    assert counts is not None
    assert min(counts) >= 0


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drops, "_PATH", "/nowhere/netstat")
    assert drops.listen_drops() is None
    monkeypatch.setattr(drops, "_PATH", "/proc/self/stat")
    assert drops.listen_drops() is None
