"""What ``listen`` asks of a client before it is connected: made before the port is open, so that files are checked."""

import sys
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.server.admission import parse_network
from portside.server.pre_connect import PreConnect
from portside.settings.listen import Listen

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_FROM = "--proxy-protocol-from"


def make_pre_connect(settings: Listen) -> PreConnect:
    """TLS and PROXY headers as settings ask for them. Raises PortsideError where a file or a network is not good."""
    trusted = [network for text in settings.proxy_protocol_from for network in parse_network(text, _FROM)]
    context = None
    if settings.tls:
        from portside.server.tls_context import server_context

        context, throwaway = server_context(
            certificate=settings.tls_cert,
            key=settings.tls_key,
            ca=settings.tls_ca,
            verify=settings.tls_verify,
            alpn=settings.tls_alpn,
        )
        sys.unraisablehook = _unraisable
        if throwaway is not None:
            from portside.wire.tls import fingerprint_of

            write_notice(f"a throw-away certificate, SHA-256 {fingerprint_of(throwaway)}")
    return PreConnect(
        tls=context,
        expects_header=settings.proxy_protocol,
        trusted=trusted if settings.proxy_protocol_from else None,
    )


def _unraisable(unraisable: "UnraisableHookArgs") -> None:
    """Python's ssl has no other way to say that a client's SNI is no ASCII; its handshake fails, and that is told."""
    if not isinstance(unraisable.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(unraisable)
