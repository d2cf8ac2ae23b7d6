"""The programs that show the socket table, each as its user would start it."""

import os
import sys
from pathlib import Path

from bench.peers import PORTSIDE

SS = ["ss", "-tanp"]
WHOLE = {
    "portside": [PORTSIDE, "watch", "--once", "--all"],
    "ss -tanp": SS,
    "netstat -natp": ["netstat", "-natp"],
    "psutil script": [sys.executable, os.fspath(Path(__file__).parent / "psutil_netstat.py")],
    "lsof -nP -iTCP": ["lsof", "-nP", "-iTCP"],
}
"""The whole table with owners."""


def of_port(port: int) -> dict[str, list[str]]:
    """The sockets of one local port, with owners and without."""
    words = f"sport = :{port}"
    ours = [PORTSIDE, "watch", "--once"]
    return {
        "portside": [*ours, words],
        "portside -p": [*ours, "--no-processes", words],
        "ss -tanp": [*SS, words],
        "ss -tan": ["ss", "-tan", words],
    }
