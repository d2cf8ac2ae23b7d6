"""Screens as text in ``screens/``: a test compares, and with SCREENS=write in the environment writes them anew."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "screens"


def compare(screen: str, name: str) -> None:
    """Fail unless a screen is the one that is kept under a name."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("SCREENS") == "write":
        path.write_text(screen, encoding="utf-8")
    assert screen == path.read_text(encoding="utf-8"), f"{path} is another screen; SCREENS=write keeps the new one"
