"""The options by which ``agent`` and ``fleet`` reach their NATS server."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from portside.errors import InvalidValue
from portside.settings import option

_BROKER = "The NATS server"
_SCHEMES = ("nats", "tls", "ws", "wss")
_DEFAULT = "nats://localhost:4222"
_PASSWORDS = re.compile("((?:^|,)(?:[a-z]*://)?)[^,]*@")


def parse_nats_urls(text: str) -> tuple[str, ...]:
    """Read the URLs of NATS servers, with commas between them; a bare ``HOST:PORT`` is ``nats://HOST:PORT``."""
    urls = tuple(each if "://" in each else f"nats://{each}" for each in text.split(","))
    for url in urls:
        try:
            parts = urlsplit(url)
            is_good = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a port that is none
            is_good = False
        if not is_good or not url.isprintable() or " " in url:
            shown = _PASSWORDS.sub(r"\1", text)  # what is said here may be in a log
            raise InvalidValue(f"{shown!r} is no NATS server: write nats://HOST:4222 or tls://HOST:4222")
    return urls


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BrokerOptions:
    """The options of a connection to NATS."""

    nats: tuple[str, ...] = option(
        "--nats", metavar="URL", parse=parse_nats_urls, default=(_DEFAULT,), group=_BROKER, default_help=_DEFAULT,
        help="a NATS server with JetStream, nats://HOST:4222 or tls://HOST:4222; several with a comma between them "
        "are tried in turn",
    )  # fmt: skip
    creds: str | None = option(
        "--creds", metavar="FILE", group=_BROKER, help="a credentials file: JWT and seed, as nsc writes them",
        excludes=("--nkey",),
    )  # fmt: skip
    nkey: str | None = option("--nkey", metavar="FILE", group=_BROKER, help="a file with the seed of an NKEY")
    tls_ca: str | None = option(
        "--tls-ca", metavar="FILE", group=_BROKER, help="who may have signed its certificate, PEM",
        default_help="those of the system",
    )  # fmt: skip
    tls_cert: str | None = option(
        "--tls-cert", metavar="FILE", group=_BROKER, help="our own certificate, PEM; the key may be in the same file"
    )
    tls_key: str | None = option(
        "--tls-key", metavar="FILE", group=_BROKER, help="the key of our certificate, PEM", requires=("--tls-cert",)
    )
    js_domain: str | None = option(
        "--js-domain", metavar="NAME", group=_BROKER,
        help="the JetStream domain that has the stream, where the server is a leaf node of it",
    )  # fmt: skip
