"""The settings of ``portside watch``."""

from dataclasses import dataclass

from portside.settings import Example, argument, flag, option
from portside.settings.values import log_level
from portside.units import parse_positive_duration

_SEEN, _LOOK, _ACT = "What is seen", "How it is shown", "What is done"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The kernel's own view of every TCP connection of this machine."""

    examples = (
        Example("every connection of this machine, live", "portside watch"),
        Example("the connections of one port, as a table", "portside watch --once 9000"),
        Example("programs that do not read what has arrived", "portside watch --once 'recvq > 64k'"),
    )

    filter: tuple[str, ...] = argument(
        "FILTER",
        str,
        "which sockets: the language of ss, and more columns (see portside help filter); a bare port means either end",
    )
    listening: bool = flag("-l", "--listening", help="listeners, with their accept queues", group=_SEEN)
    all: bool = flag("-a", "--all", help="listeners and connections (default: connections)", group=_SEEN)
    ipv4: bool = flag("-4", help="IPv4 only", group=_SEEN, excludes=("-6",))
    ipv6: bool = flag("-6", help="IPv6 only", group=_SEEN)
    tcp: bool = flag("-t", "--tcp", help="TCP, which is all there is: so that -ntp and -tlpn work", group=_SEEN)
    numeric: bool = flag("-n", "--numeric", help="addresses and ports as numbers, as always", group=_SEEN)
    processes: bool = flag(
        "-p", "--processes", help="the programs, as always", group=_SEEN, excludes=("--no-processes",)
    )
    no_processes: bool = flag("--no-processes", help="do not look for the programs", group=_SEEN)
    netns: str | None = option(
        "--netns", metavar="NAME|PID|PATH|all", group=_SEEN,
        help="look into another network namespace, by its name, a process in it or its file, or into all; "
        "interfaces in the filter are those of that namespace",
    )  # fmt: skip
    source: str | None = option(
        "--source", metavar="SOURCE", choices=("netlink", "proc", "psutil"), group=_SEEN,
        help="where the table comes from", default_help="the best one that works",
    )  # fmt: skip
    once: bool = flag("--once", help="one table, then the end", group=_LOOK)
    json: bool = flag("--json", help="a JSON object a line for each socket", group=_LOOK, excludes=("--wide",))
    events: bool = flag(
        "--events", group=_LOOK,
        help="a line each time a connection opens, changes its state or closes, however short it lives",
        excludes=("--kill", "--summary", "--once", "--wide", "--sort", "--listening"),
    )  # fmt: skip
    wide: bool = flag(
        "-w", "--wide", group=_LOOK,
        help="round-trip time, window, retransmits, bytes, timers, limits, command lines and what is wrong too",
    )  # fmt: skip
    summary: bool = flag(
        "-s", "--summary", help="counts by state, by program and by peer", group=_LOOK,
        excludes=("--json", "--wide", "--sort", "--kill"),
    )  # fmt: skip
    sort: str | None = option("--sort", metavar="COLUMN", group=_LOOK, help="sort by a column; -COLUMN the other way")
    interval: float = option(
        "--interval", metavar="DURATION", parse=parse_positive_duration, default=1.0, group=_LOOK,
        help="how often to look", default_help="1s", excludes=("--once", "--summary", "--kill"),
    )  # fmt: skip
    kill: bool = flag(
        "--kill", group=_ACT,
        help="destroy the connections that the filter matches, as `ss -K` does, and say which",
    )  # fmt: skip
    log_level: str | None = log_level()
