"""The stored dumps: what the kernel answered in ``make_dumps.py``, and what was true then."""

import json
from pathlib import Path

from portside.kernel.decoder import decode
from portside.kernel.table import SocketTable

FOLDER = Path(__file__).parent / "dumps"
NAMES = ("full4", "full6", "plain4", "plain6", "destroyed")
EXPECTED: dict[str, int] = json.loads((FOLDER / "expected.json").read_text())


def stored(name: str) -> bytes:
    """One stored dump."""
    return (FOLDER / f"{name}.bin").read_bytes()


def table(*names: str) -> SocketTable:
    """Stored dumps as one table."""
    return decode(b"".join(map(stored, names))).table
