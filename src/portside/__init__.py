"""Portside: a TCP endpoint you can see into."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.app.findings import diagnose
    from portside.app.sockets import sockets
    from portside.diagnosis.findings import Finding
    from portside.record.recording import Recording

__version__ = "0.1.0"
__all__ = ["Finding", "Recording", "__version__", "diagnose", "sockets"]

_HOMES = {
    "Finding": "portside.diagnosis.findings",
    "Recording": "portside.record.recording",
    "diagnose": "portside.app.findings",
    "sockets": "portside.app.sockets",
}


def __getattr__(name: str) -> object:
    """Import a name of the Python API when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
