"""What a client of HTTP does on a bad network: httpx through a relay of Portside, which makes the network bad.

Run it with `pytest examples/http_client`; it needs httpx and portside.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

import portside

BODY = b"x" * 5000


class Pages(BaseHTTPRequestHandler):
    """The server that is to be reached."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a page of 5,000 bytes."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site(ThreadingHTTPServer):
    """Such a server on a thread for each client."""

    def handle_error(self, *_: object) -> None:
        """Say nothing where a fault has reset a connection here too."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The address of the server."""
    with Site(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def relay(upstream: str, *faults: str) -> portside.sync.Server:
    """A relay before the server, with faults."""
    return portside.sync.listen("127.0.0.1:0", forward=upstream, fault=faults)


def fetch(server: portside.sync.Server, *, tries: int = 1, timeout: float = 30.0) -> bytes:
    """The client under test: a page, and another try where the network fails."""
    for left in reversed(range(tries)):
        try:
            return httpx.get(f"http://127.0.0.1:{server.port}/", timeout=timeout, trust_env=False).content
        except httpx.TransportError:
            if not left:
                raise
    raise AssertionError("there is no try")


def test_without_a_fault_the_page_comes(upstream: str) -> None:
    with relay(upstream) as server:
        assert fetch(server) == BODY


def test_a_slow_network_only_costs_time(upstream: str) -> None:
    with relay(upstream, "latency 50ms", "slice 100..400 out") as server:
        assert fetch(server) == BODY


def test_a_server_that_says_nothing_is_a_timeout(upstream: str) -> None:
    with relay(upstream, "stall out") as server, pytest.raises(httpx.ReadTimeout):
        fetch(server, timeout=0.2)


def test_an_answer_that_is_cut_off_is_noticed(upstream: str) -> None:
    with (
        relay(upstream, "limit 1000 out") as server,
        pytest.raises(httpx.RemoteProtocolError, match="without sending complete"),
    ):
        fetch(server)


def test_a_reset_is_an_error_of_the_network(upstream: str) -> None:
    with relay(upstream, "reset at 1000 out") as server, pytest.raises(httpx.ReadError):
        fetch(server)


def test_the_third_try_succeeds(upstream: str) -> None:
    with relay(upstream, "reset at 10 out first=2") as server:
        assert fetch(server, tries=3) == BODY


def test_a_refused_connection_is_no_page(upstream: str) -> None:
    with relay(upstream, "refuse") as server, pytest.raises(httpx.TransportError):
        fetch(server, tries=2)
