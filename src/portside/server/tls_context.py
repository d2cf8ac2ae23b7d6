"""How a server speaks TLS: its certificate, whom it asks for one, its protocols."""

import ssl

from portside.wire.tls import load_authorities, load_own, log_keys


class _Object(ssl.SSLObject):
    """Keeps the name that the client asked for."""

    sni: str | None = None


def server_context(
    *,
    certificate: str | None = None,
    key: str | None = None,
    ca: str | None = None,
    verify: bool = False,
    alpn: tuple[str, ...] = (),
) -> tuple[ssl.SSLContext, bytes | None]:
    """How to speak TLS to clients, and the certificate (DER) where a throw-away one was made.

    With ``ca`` clients are asked for a certificate, with ``verify`` they must have one. SSLKEYLOGFILE is honoured.
    Raises PortsideError where a file is not good.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Object
    context.sni_callback = _keep_name
    made = None
    if certificate is not None:
        load_own(context, certificate, key)
    else:
        from portside.server.throwaway import load_throwaway

        made = load_throwaway(context)
    if ca is not None:
        load_authorities(context, ca)
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_OPTIONAL
    if alpn:
        context.set_alpn_protocols(list(alpn))
    log_keys(context)
    return context, made


def _keep_name(tls: object, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(tls, _Object):
        tls.sni = name
