"""The settings of ``portside console``."""

from dataclasses import dataclass

from portside.settings import argument, option


@dataclass(frozen=True, kw_only=True)
class Console:
    """The terminal console of a running server: its connections, live, and acts on them."""

    server: tuple[str, ...] = argument(
        "SERVER", str,
        "its process, an address that it listens on, or the link that `listen --web` printed "
        "(default: the one that runs)",
    )  # fmt: skip
    tls_ca: str | None = option(
        "--tls-ca", metavar="FILE", group="Which server", help="certificates (PEM) to trust for an https link"
    )
