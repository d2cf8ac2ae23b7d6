"""Making the pre-connect stage of ``listen``: before the port opens, so that a wrong certificate file is reported."""

from portside.app.notices import Notify, write_notice
from portside.server.admission import networks_of
from portside.server.handshakes import Handshakes
from portside.settings.listen import Listen

_FROM = "--proxy-protocol-from"


def make_handshakes(settings: Listen, notify: Notify = write_notice) -> Handshakes:
    """TLS and PROXY headers as settings ask for them. Raises PortsideError where a file or a network is not good."""
    trusted = [network for text in settings.proxy_protocol_from for network in networks_of(text, _FROM)]
    context = None
    if settings.tls:
        from portside.app.tls import server_context

        context = server_context(settings, notify)
    return Handshakes(
        tls=context,
        most=settings.max_handshakes,
        expects_header=settings.proxy_protocol,
        trusted=trusted if settings.proxy_protocol_from else None,
    )
