"""Fixtures for tests of the pytest plugin."""

import pytest

# A server loads this on a thread when it is needed. pytester takes back what was imported meanwhile, which breaks it.
import portside.wire.bulk_escaping  # noqa: F401
from portside.testing import peer, server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is on its way waited for as long as a slow machine takes."""
    monkeypatch.setattr(peer, "END_S", 8.0)
    monkeypatch.setattr(server, "PATIENCE_S", 8.0)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes of pytest load no plugin that is not named: hypothesis and others take seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
