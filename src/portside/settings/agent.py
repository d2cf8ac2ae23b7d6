"""The settings of ``portside agent``."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from portside.addresses import Address
from portside.errors import InvalidValue
from portside.settings import Example, flag, option
from portside.settings.broker import BrokerOptions
from portside.settings.values import log_level, parse_web
from portside.units import parse_count, parse_duration, parse_positive_duration, parse_rate, parse_size

_NAME, _SENT, _OUTBOX, _METRICS = "Its name", "What is published", "The outbox", "Metrics"
_MOST_NAME = 128
_LEAST_OUTBOX = 1 << 20


def parse_name(text: str) -> str:
    """Read the name of a node or a site: 1 to 128 printable characters without spaces."""
    if not 0 < len(text) <= _MOST_NAME or not text.isprintable() or any(each.isspace() for each in text):
        raise InvalidValue(f"{text!r} is no name: write 1 to {_MOST_NAME} characters without spaces")
    return text


def parse_outbox_size(text: str) -> int:
    """Read the most bytes of an outbox: 1M at least."""
    size = parse_size(text)
    if size < _LEAST_OUTBOX:
        raise InvalidValue("an outbox needs 1M at least")
    return size


def parse_otlp_url(text: str) -> str:
    """Read where metrics are exported to; a collector, a URL without a path, takes them at /v1/metrics."""
    if any(each in text for each in "@?#"):  # what is said here may be in a log
        raise InvalidValue("no user, password or query belongs into this URL: OTEL_EXPORTER_OTLP_HEADERS is for that")
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        is_good = False
    if not is_good or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidValue(f"{text!r} is no URL of a collector: write http://HOST:4318 or https://HOST/PATH")
    return text if parts.path.strip("/") else f"{text.rstrip('/')}/v1/metrics"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Agent(BrokerOptions):
    """Publish the connections of this machine, and what is wrong with them, to NATS JetStream; one agent a machine."""

    examples = (
        Example("publish what happens on this machine", "portside agent --nats nats://broker:4222"),
        Example(
            "only connections to one port, from a site with a name",
            "portside agent --nats broker:4222 --site paris --filter 'sport = :5432'",
        ),
        Example(
            "have Prometheus scrape the machine too", "portside agent --nats nats://broker:4222 --metrics 10.0.0.1:9111"
        ),
    )

    node: str | None = option(
        "--node", metavar="NAME", parse=parse_name, group=_NAME, help="the name of this machine",
        default_help="its host name",
    )  # fmt: skip
    site: str = option(
        "--site", metavar="NAME", parse=parse_name, default="default", default_help="default", group=_NAME,
        help="where it is: a data center, a customer, an environment",
    )  # fmt: skip
    filter: str = option(
        "--filter", metavar="FILTER", default="", group=_SENT, default_help="all",
        help="which connections, in the language of watch: 'sport = :5432 and not dst 127.0.0.0/8'",
    )  # fmt: skip
    opened: bool = flag("--opened", group=_SENT, help="each connection that is opened too, not only those that close")
    changed: bool = flag("--changed", group=_SENT, help="each change of a connection's state too")
    payload: bool = flag("--payload", group=_SENT, help="what the clients of Portside servers send and get, too")
    json_payload: bool = flag("--json-payload", group=_SENT, help="write messages as JSON, not as MessagePack")
    rate: float = option(
        "--rate", metavar="R/s", parse=parse_rate, default=5000.0, default_help="5k/s", group=_SENT,
        help="the most events of connections a second; beyond that some are left out, and those that stay say for how "
        "many they stand",
    )  # fmt: skip
    interval: float = option(
        "--interval", metavar="DURATION", parse=parse_positive_duration, default=5.0, default_help="5s", group=_SENT,
        help="how often to look at the table of sockets; connections that close are announced, however short they are",
    )  # fmt: skip
    outbox: str | None = option(
        "--outbox", metavar="DIR", group=_OUTBOX, help="where what is not acknowledged yet is kept",
        default_help="/var/lib/portside/outbox for root, else ~/.local/state/portside/outbox",
    )  # fmt: skip
    outbox_size: int = option(
        "--outbox-size", metavar="SIZE", parse=parse_outbox_size, default=256 << 20, default_help="256M", group=_OUTBOX,
        help="how large it may get: the oldest goes first, and is counted",
    )  # fmt: skip
    outbox_age: float = option(
        "--outbox-age", metavar="DURATION", parse=parse_duration, default=7 * 86400.0, default_help="168h",
        group=_OUTBOX, help="how old what is in it may get",
    )  # fmt: skip
    unacked: int = option(
        "--unacked", metavar="N", parse=parse_count, default=256, default_help="256", group=_OUTBOX,
        help="the most messages that are sent and not acknowledged",
    )  # fmt: skip
    metrics: Address | None = option(
        "--metrics", metavar="ADDRESS", parse=parse_web, group=_METRICS,
        help="serve metrics of this machine and of the agent for Prometheus here, at /metrics; a bare port is of "
        "127.0.0.1, *:9111 is at every address",
    )  # fmt: skip
    otlp: str | None = option(
        "--otlp", metavar="URL", parse=parse_otlp_url, group=_METRICS,
        help="export the same metrics by OTLP over HTTP to a collector, http://HOST:4318, which needs the extra "
        "portside[otlp]; /v1/metrics is added to a URL without a path",
    )  # fmt: skip
    otlp_interval: float = option(
        "--otlp-interval", metavar="DURATION", parse=parse_positive_duration, default=15.0, default_help="15s",
        group=_METRICS, requires=("--otlp",), help="how often",
    )  # fmt: skip
    log_level: str | None = log_level()
