"""``portside.sockets``, and what ``import portside`` costs."""

import os
import socket
import subprocess
import sys

import pytest

import portside
from portside.kernel.filter import FilterError
from portside.kernel.models import Socket


def test_typed_rows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (row,) = portside.sockets(f"sport = {port} and state listening")
        assert isinstance(row, Socket)
        assert row.local == f"127.0.0.1:{port}"
        assert [owner.pid for owner in row.owners or ()] == [os.getpid()]
        assert [each.local for each in portside.sockets(f"sport = {port}", view="listening")] == [row.local]
        assert portside.sockets(f"sport = {port} and state listening", owners=False)[0].owners is None


def test_a_filter_that_cannot_be_read() -> None:
    with pytest.raises(FilterError, match="did you mean sport"):
        portside.sockets("spotr = 5")


def test_import_is_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import portside; assert 'sockets' in dir(portside);"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = done.stdout.split()
    assert [name for name in loaded if name.startswith("portside")] == ["portside"]
    assert not {"numpy", "msgspec", "asyncio", "psutil", "argparse", "socket"} & set(loaded)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = portside.nosuch  # type: ignore[attr-defined]
