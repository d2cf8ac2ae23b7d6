"""The settings of ``portside fleet …``: a class for each of its commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portside.addresses import ANY_PORT, Address
from portside.settings import Example, argument, flag, option, web_page
from portside.settings.broker import BrokerOptions
from portside.settings.values import log_level, parse_web
from portside.units import parse_count, parse_positive_duration, parse_positive_size

_WHICH, _LOOK, _KEEP, _PAGE = "Which", "How it is shown", "What is kept", "The page"
_AS_IT_IS = "and as it is where the stream is there already"
TOP_BY = ("connections", "bytes", "retransmits", "rtt", "resets")
FORMATS = ("jsonl", "parquet")


def _site() -> Any:
    return option("--site", metavar="NAME", group=_WHICH, help="the nodes of this site alone")


def _node() -> Any:
    return option("--node", metavar="NAME", group=_WHICH, help="this node alone")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetCommand(BrokerOptions):
    """The options that all commands about a fleet share."""

    log_level: str | None = log_level()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetReading(FleetCommand):
    """The options of the commands that read what nodes have published."""

    site: str | None = _site()
    node: str | None = _node()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetQuery(FleetReading):
    """The options of the commands that ask for something."""

    json: bool = flag("--json", help="a JSON object a line", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetInit(FleetCommand):
    """Make the stream that keeps what agents publish, or change how much it keeps."""

    examples = (
        Example("make the stream, once", "portside fleet init --nats nats://broker:4222"),
        Example("keep a week, 50 GiB at most", "portside fleet init --max-age 168h --max-bytes 50G"),
        Example("keep it on three servers of a cluster", "portside fleet init --replicas 3"),
    )

    max_bytes: int | None = option(
        "--max-bytes", metavar="SIZE", parse=parse_positive_size, default_help=f"10G, {_AS_IT_IS}", group=_KEEP,
        help="the most bytes that the stream keeps: the oldest go first",
    )  # fmt: skip
    max_age: float | None = option(
        "--max-age", metavar="DURATION", parse=parse_positive_duration, default_help=f"72h, {_AS_IT_IS}", group=_KEEP,
        help="how long it keeps them",
    )  # fmt: skip
    replicas: int | None = option(
        "--replicas", metavar="N", parse=parse_count, default_help=f"1, {_AS_IT_IS}", group=_KEEP,
        help="on how many servers of a cluster: 1, 3 or 5",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetNodes(FleetQuery):
    """The machines of a fleet: whether they are alive, their version, load and lag."""

    examples = (
        Example("see which machines are there", "portside fleet nodes --nats nats://broker:4222"),
        Example("keep looking", "portside fleet nodes --follow"),
        Example(
            "the machines and their versions, for a script", "portside fleet nodes --json | jq -r '.node, .version'"
        ),
    )

    since: float = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, default=7 * 86400.0, default_help="168h",
        group=_WHICH, help="those that gave a sign of life within this time",
    )  # fmt: skip
    follow: bool = flag("--follow", help="show them anew as they change, until Ctrl-C", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetTop(FleetQuery):
    """Which programs and ports of a fleet have the most connections, bytes, retransmits, resets or the longest rtt."""

    examples = (
        Example("who has the most connections now", "portside fleet top"),
        Example("who sent and received most in the last hour", "portside fleet top --by bytes --since 1h"),
        Example("which remote networks lose most", "portside fleet top --by retransmits --group remote"),
    )

    filter: tuple[str, ...] = argument(
        "FILTER", str, "which groups: the columns program, sport, state, dst and node, in the language of watch"
    )
    by: str = option(
        "--by", metavar="WHAT", choices=TOP_BY, default="connections", default_help="connections", group=_LOOK,
        help="what they are sorted by",
    )  # fmt: skip
    group: str = option(
        "--group", metavar="WHAT", choices=("program", "node", "port", "remote"), default="program",
        default_help="program", group=_LOOK, help="what a row stands for",
    )  # fmt: skip
    limit: int = option(
        "--limit", metavar="N", parse=parse_count, default=20, default_help="20", group=_LOOK, help="how many rows"
    )
    since: float = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, default=60.0, default_help="1m", group=_WHICH,
        help="over how long bytes, retransmits and resets are added up",
    )  # fmt: skip
    follow: bool = flag("--follow", help="show them anew each few seconds, until Ctrl-C", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetEvents(FleetQuery):
    """The connections of a fleet that have closed, with their last numbers, and the events of its servers."""

    examples = (
        Example("what closed in the last five minutes", "portside fleet events --since 5m"),
        Example("connections that lost segments, as they close", "portside fleet events --follow 'retrans > 0'"),
        Example("those of one program on all machines", "portside fleet events --since 1h 'program = postgres' --json"),
    )

    filter: tuple[str, ...] = argument(
        "FILTER", str, "which connections, in the language of watch; columns node and site too"
    )
    since: float = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, default=60.0, default_help="1m", group=_WHICH,
        help="those of this time",
    )  # fmt: skip
    follow: bool = flag("--follow", help="go on with those that come, until Ctrl-C", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetConnections(FleetQuery):
    """The connections that are open in a fleet; one of which both ends are in it is one row, with both ends' queues."""

    examples = (
        Example("where bytes wait between two machines", "portside fleet connections 'sendq > 0'"),
        Example("the connections of a port, on all machines", "portside fleet connections 5432"),
        Example("keep looking at those of one machine", "portside fleet connections --node web1 --follow"),
    )

    filter: tuple[str, ...] = argument(
        "FILTER", str, "which connections, in the language of watch; one end has to match; columns node and site too"
    )
    since: float = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, default=300.0, default_help="5m", group=_WHICH,
        help="of nodes that have told their connections within this time",
    )  # fmt: skip
    follow: bool = flag("--follow", help="show them anew each few seconds, until Ctrl-C", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetFindings(FleetQuery):
    """What is wrong in a fleet; the same condition on many machines is one finding."""

    examples = (
        Example("what is wrong, and where", "portside fleet findings"),
        Example("what was wrong in the last day", "portside fleet findings --since 24h"),
        Example("keep looking", "portside fleet findings --follow"),
    )

    since: float | None = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, group=_WHICH,
        help="what was wrong within this time too, not only what is wrong now",
    )  # fmt: skip
    follow: bool = flag("--follow", help="show them anew as they change, until Ctrl-C", group=_LOOK)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetConsole(BrokerOptions):
    """The console of a whole fleet in the terminal: connections, machines, findings, events; for reading alone."""

    examples = (
        Example("see the open connections of all machines", "portside fleet console --nats nats://broker:4222"),
        Example("those of one site", "portside fleet console --site paris"),
        Example("on a page in the browser instead", "portside fleet web"),
    )

    site: str | None = _site()
    node: str | None = _node()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetWeb(FleetReading):
    """The console of a whole fleet on a page in the browser, until Ctrl-C; for reading alone."""

    examples = (
        Example("the page, on this machine", "portside fleet web --nats nats://broker:4222"),
        Example("on a port of this machine", "portside fleet web --web 8080"),
        Example("for others in the network, encrypted", "portside fleet web --web 0.0.0.0:8443 --web-tls"),
    )

    web: Address = option(
        "--web", metavar="ADDRESS", parse=parse_web, default=Address("127.0.0.1", ANY_PORT), group=_PAGE,
        default_help="127.0.0.1 and a free port",
        help="where the page is; the link with its token is printed once; a bare port is of 127.0.0.1",
    )  # fmt: skip
    web_tls: bool = web_page.web_tls(_PAGE, requires=())
    web_tls_cert: str | None = web_page.web_tls_cert(_PAGE)
    web_tls_key: str | None = web_page.web_tls_key(_PAGE)

    @property
    def web_read_only(self) -> bool:
        """Nothing acts on a fleet."""
        return True


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FleetExport(FleetReading):
    """Write what a fleet has published as files for other stores, a row a record."""

    examples = (
        Example("the connections that closed in the last hour", "portside fleet export closed.jsonl"),
        Example("those of a day as Parquet, for DuckDB or ClickHouse", "portside fleet export --since 24h day.parquet"),
        Example("what was wrong at one site", "portside fleet export --kind findings --site paris - | jq"),
    )

    file: tuple[str, ...] = argument("FILE", str, "where to: a file, or - for standard output")
    kind: str = option(
        "--kind", metavar="KIND", choices=("closed", "summary", "findings", "node", "server"), default="closed",
        default_help="closed", group=_WHICH, help="which records",
    )  # fmt: skip
    since: float = option(
        "--since", metavar="DURATION", parse=parse_positive_duration, default=3600.0, default_help="1h", group=_WHICH,
        help="what the stream got within this time",
    )  # fmt: skip
    format: str | None = option(
        "--format", metavar="FORMAT", choices=FORMATS, group=_LOOK,
        help="jsonl, or parquet, which needs the extra portside[parquet]",
        default_help="by the end of the file's name, else jsonl",
    )  # fmt: skip


FLEET_COMMANDS: Mapping[str, type] = {
    "init": FleetInit,
    "nodes": FleetNodes,
    "top": FleetTop,
    "events": FleetEvents,
    "connections": FleetConnections,
    "findings": FleetFindings,
    "export": FleetExport,
    "console": FleetConsole,
    "web": FleetWeb,
}
