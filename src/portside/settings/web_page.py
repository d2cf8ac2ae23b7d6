"""The options of the page in a browser, which several commands have."""

from typing import Any, Protocol

from portside.addresses import Address
from portside.settings import flag, option
from portside.settings.values import parse_web


class WebPage(Protocol):
    """Settings that have them."""

    @property
    def web(self) -> Address | None: ...
    @property
    def web_read_only(self) -> bool: ...
    @property
    def web_tls(self) -> bool: ...
    @property
    def web_tls_cert(self) -> str | None: ...
    @property
    def web_tls_key(self) -> str | None: ...


def web(group: str, what: str) -> Any:
    """The option ``--web``; ``what`` says what the page is."""
    return option(
        "--web", metavar="ADDRESS", parse=parse_web, bare="127.0.0.1:0", group=group,
        help=f"{what}; the link with its token is printed once; "
        "without ADDRESS 127.0.0.1 and a free port, a bare port is of 127.0.0.1 too",
    )  # fmt: skip


def web_read_only(group: str) -> Any:
    """The option ``--web-read-only``."""
    return flag("--web-read-only", group=group, help="the page may look and not act", requires=("--web",))


def web_tls(group: str, requires: tuple[str, ...] = ("--web",)) -> Any:
    """The option ``--web-tls``."""
    return flag(
        "--web-tls", group=group,
        help="the page by HTTPS; without --web-tls-cert a throw-away certificate is made and its SHA-256 fingerprint "
        "printed",
        requires=requires,
    )  # fmt: skip


def web_tls_cert(group: str) -> Any:
    """The option ``--web-tls-cert``."""
    return option(
        "--web-tls-cert", metavar="FILE", group=group, help="the page's certificate, PEM, its chain after it",
        requires=("--web-tls",),
    )  # fmt: skip


def web_tls_key(group: str) -> Any:
    """The option ``--web-tls-key``."""
    return option(
        "--web-tls-key", metavar="FILE", group=group,
        help="its key, PEM", default_help="in the file of the certificate", requires=("--web-tls-cert",),
    )  # fmt: skip
