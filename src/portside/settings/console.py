"""The settings of ``portside console``."""

from dataclasses import dataclass

from portside.addresses import Address
from portside.settings import Example, argument, flag, option, web_page

_PAGE = "The page"


@dataclass(frozen=True, kw_only=True)
class Console:
    """The console of a running server, in the terminal or on a page: its connections, live, and acts on them."""

    examples = (
        Example("the server that runs here", "portside console"),
        Example("one of several, by a port that it listens on", "portside console :9000"),
        Example("all of this machine as one, on a page in the browser", "portside console --all --web"),
    )

    server: tuple[str, ...] = argument(
        "SERVER", str,
        "its process, an address that it listens on, or the link that `listen --web` printed "
        "(default: the one that runs)",
    )  # fmt: skip
    all: bool = flag(
        "--all", group="Which server", excludes=("--tls-ca",),
        help="all servers of this user on this machine, as one: connections are named PID/7",
    )  # fmt: skip
    tls_ca: str | None = option(
        "--tls-ca", metavar="FILE", group="Which server", help="certificates (PEM) to trust for an https link"
    )
    web: Address | None = web_page.web(_PAGE, "the page instead of the terminal, for a browser")
    web_read_only: bool = web_page.web_read_only(_PAGE)
    web_tls: bool = web_page.web_tls(_PAGE)
    web_tls_cert: str | None = web_page.web_tls_cert(_PAGE)
    web_tls_key: str | None = web_page.web_tls_key(_PAGE)
