"""A NATS server for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nats_server import NatsServer


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with JetStream, without a stream."""
    server = NatsServer(tmp_path).start()
    yield server
    server.stop()
