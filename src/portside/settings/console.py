"""The settings of ``portside console``."""

from dataclasses import dataclass

from portside.settings import Example, argument, flag, option


@dataclass(frozen=True, kw_only=True)
class Console:
    """The terminal console of a running server: its connections, live, and acts on them."""

    examples = (
        Example("the server that runs here", "portside console"),
        Example("one of several, by a port that it listens on", "portside console :9000"),
        Example("all of this machine as one", "portside console --all"),
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
