"""The options of a TLS client: of ``connect`` and of ``load``."""

from typing import Any, Protocol

from portside.settings import flag, option, switch
from portside.settings.values import parse_alpn


class ClientTls(Protocol):
    """Settings that have them."""

    @property
    def tls_servername(self) -> str | None: ...
    @property
    def tls_verify(self) -> bool | None: ...
    @property
    def tls_ca(self) -> str | None: ...
    @property
    def tls_cert(self) -> str | None: ...
    @property
    def tls_key(self) -> str | None: ...
    @property
    def tls_key_password_file(self) -> str | None: ...
    @property
    def tls_alpn(self) -> tuple[str, ...]: ...


def tls(group: str) -> Any:
    """The option ``--tls``."""
    return flag("--tls", help="speak TLS, by default only with a peer whose certificate is good", group=group)


def tls_servername(group: str) -> Any:
    """The option ``--tls-servername``."""
    return option(
        "--tls-servername", metavar="NAME", group=group, default_help="the host", requires=("--tls",),
        help="whose certificate the peer must have, and the name (SNI) that it is told",
    )  # fmt: skip


def tls_verify(group: str) -> Any:
    """The option ``--tls-verify``, and the one that takes it back."""
    return switch(
        "--tls-verify", group=group, help="whether the peer's certificate must be good", default_help="it must",
        requires=("--tls",),
    )  # fmt: skip


def tls_ca(group: str) -> Any:
    """The option ``--tls-ca``."""
    return option(
        "--tls-ca", metavar="FILE", group=group, default_help="those of the system", excludes=("--no-tls-verify",),
        help="who may have signed it, PEM: root or intermediate certificates, or the peer's own", requires=("--tls",),
    )  # fmt: skip


def tls_cert(group: str) -> Any:
    """The option ``--tls-cert``."""
    return option(
        "--tls-cert", metavar="FILE", group=group, requires=("--tls",),
        help="our own certificate, PEM; the key may be in the same file",
    )  # fmt: skip


def tls_alpn(group: str) -> Any:
    """The option ``--tls-alpn``."""
    return option(
        "--tls-alpn", metavar="LIST", parse=parse_alpn, default=(), group=group, requires=("--tls",),
        help="the protocols to offer with ALPN, the preferred one first: h2,http/1.1",
    )  # fmt: skip
