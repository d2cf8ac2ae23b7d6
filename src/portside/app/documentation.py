"""The pages of the documentation: in an installation inside the package, in a checkout in ``docs``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from portside.errors import PortsideError

TUTORIAL: Final = "tutorial"
MONITORING: Final = "monitoring"
SUBJECTS: Final[Mapping[str, str]] = {
    TUTORIAL: "a server, its clients and the kernel's view of them, from the beginning",
    "install": "how to install Portside, what it takes, and what works on which system",
    "filter": "the language that says which sockets or connections: watch, diagnose, ctl",
    "watch-events": "connections as they come and go: watch --events",
    "recording": "how a recording is kept on disk, and what it promises",
    "faults": "delays, cuts, resets and bit flips on purpose",
    "handler": "a Python function of yours that answers each client",
    "web": "the page in a browser on a running server",
    "api": "the control API of a running server, over HTTP and WebSocket",
    "events": "every event, its fields and its JSON",
    "logging": "what the parts of Portside do, on standard error",
    "measuring": "a TCP server, without fooling oneself: rates, percentiles, and what limits them",
    MONITORING: "metrics for Prometheus, alert rules and a dashboard for Grafana",
    "python": "servers, clients, recordings and the socket table in Python",
    "testing": "scripted servers, proxies and a check for leaks, as fixtures of pytest",
}
"""Pages that are about no single command, and a sentence about each."""

_FOLDERS: Final = (Path(__file__).parents[1] / "docs", Path(__file__).parents[3] / "docs")
_COMMENT: Final = re.compile(rb"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)


def finding_codes() -> list[str]:
    """The codes of findings that have a page."""
    return sorted({path.stem for folder in _FOLDERS for path in (folder / "findings").glob("*.md")})


def read_page(topic: str) -> bytes:
    """The page of a command or a subject, in Markdown; all pages of the tutorial, one after the other.

    Raises PortsideError where the installation lacks it.
    """
    if topic == TUTORIAL:
        lessons = sorted({path.name for folder in _FOLDERS for path in (folder / TUTORIAL).glob("[0-9]*.md")})
        return b"\n".join(_read(f"{TUTORIAL}/{name}", topic) for name in ("index.md", *lessons))
    return _read(f"{MONITORING}/index.md" if topic == MONITORING else f"{topic}.md", topic)


def read_finding_page(code: str) -> bytes:
    """The page of a finding, in Markdown. Raises PortsideError where the installation lacks it."""
    return _read(f"findings/{code}.md", code)


def _read(name: str, topic: str) -> bytes:
    for folder in _FOLDERS:
        try:
            return _COMMENT.sub(b"", (folder / name).read_bytes())
        except OSError:
            continue
    raise PortsideError(f"the page of {topic}", "it is not in this installation")
