"""``tcp_proxy``: a relay between the code under test and a real server, with faults, that keeps both directions."""

from collections.abc import Mapping
from typing import Any

from portside.testing.peer import Peer

Upstream = Peer | str | int | tuple[str, int]
"""Where a proxy leads to: a server of this test, an address as on the command line, a port, or host and port."""


class TcpProxy(Peer):
    """A relay to ``upstream``. Faults come and go while it runs; ``transcript`` has both directions.

    Example::

        def test_a_slow_server(tcp_proxy, redis_address):
            proxy = tcp_proxy(redis_address, faults=["latency 200ms"])
            client = redis.Redis(proxy.host, proxy.port, socket_timeout=0.1)
            with pytest.raises(redis.TimeoutError):
                client.ping()
            proxy.clear_faults()
    """

    def __init__(
        self, label: str, upstream: Upstream, options: Mapping[str, Any], *, record: str | None = None
    ) -> None:
        """For Portside itself. Raises PortsideError."""
        self.upstream = upstream_address(upstream)
        super().__init__(label, ["127.0.0.1:0"], {"forward": self.upstream, **options}, record=record)


def upstream_address(upstream: Upstream) -> str:
    """The address of an upstream server, as it is written on the command line."""
    if isinstance(upstream, Peer):
        return upstream.address
    if isinstance(upstream, tuple):
        host, port = upstream
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(upstream)
