"""``--log-level`` and ``PORTSIDE_LOG``: what the parts do, on standard error."""

import re
import socket
from collections.abc import Iterator

import pytest
from conftest import Start

LINE = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (debug|info|warning|error) portside\.[a-z_.]+: \S.*$")


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_the_server_logs_what_it_refuses(listen: Start, start: Start) -> None:
    server = listen("--deny", "127.0.0.0/8", "--log-level", "debug")
    client = start("connect", f"127.0.0.1:{server.port}")
    client.wait()
    server.wait_for(r"debug portside\.server\.accept: refused 127\.0\.0\.1:\d+: denied$", err=True)


def test_a_failed_handshake_is_logged_with_the_address_as_events_show_it(listen: Start) -> None:
    server = listen("--tls", "--log-level", "info")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"no TLS at all\n")
        server.wait_for(r"info portside\.server\.tls: handshake with 127\.0\.0\.1:\d+ failed: .", err=True)


def test_the_client_logs_as_the_environment_says(start: Start, closed_port: str) -> None:
    client = start("connect", closed_port, env={"PORTSIDE_LOG": "info"})
    assert client.wait() == 1
    logged = client.err.splitlines()[:-2]  # before the error and its hint
    assert logged
    assert all(LINE.match(line) for line in logged)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [((), {}), (("--log-level", "off"), {"PORTSIDE_LOG": "debug"}), (("--log-level", "error"), {})],
)
def test_the_log_is_silent_below_its_level(
    start: Start, closed_port: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    client = start("connect", *arguments, closed_port, env=environment)
    assert client.wait() == 1
    assert client.err.startswith(b"portside: cannot connect")


def test_a_level_that_is_none(start: Start) -> None:
    for options, environment in ((("--log-level", "loud"), {}), ((), {"PORTSIDE_LOG": "loud"})):
        client = start("connect", *options, "1", env=environment)
        assert client.wait() == 2
        assert b"'loud' is none of off, debug, info, warning, error" in client.err
