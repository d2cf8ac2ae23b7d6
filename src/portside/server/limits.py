"""The limits of a server that can be changed while it runs, each with how it is read, set and parsed.

A limit of admission holds for the clients that come from then on; nobody is closed who is connected. The idle timeout
holds for open connections too, and their idle time begins when it is changed. The half-close timeout holds for the
connections that are half-closed from then on.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from portside.errors import InvalidValue
from portside.server.admission import Admission
from portside.server.server import Server
from portside.units import parse_count, parse_duration, parse_positive_duration

Value = int | float | None
LimitName = Literal["max_conns", "max_conns_per_ip", "idle_timeout", "half_close_timeout"]
OFF: Final = "off"


class RuntimeLimit(NamedTuple):
    """One limit: ``get`` and ``set`` take the server and its admission; None is no limit."""

    parse: Callable[[str], int | float]
    get: Callable[[Server, Admission], Value]
    set: Callable[[Server, Admission, Value], None]


def _set_max_conns(_server: Server, admission: Admission, value: Value) -> None:
    admission.most = None if value is None else int(value)


def _set_max_conns_per_ip(_server: Server, admission: Admission, value: Value) -> None:
    admission.most_per_ip = None if value is None else int(value)


LIMITS: Final[dict[LimitName, RuntimeLimit]] = {
    "max_conns": RuntimeLimit(parse_count, lambda _, admission: admission.most, _set_max_conns),
    "max_conns_per_ip": RuntimeLimit(parse_count, lambda _, admission: admission.most_per_ip, _set_max_conns_per_ip),
    "idle_timeout": RuntimeLimit(
        parse_positive_duration,
        lambda server, _: server.idle_timeout,
        lambda server, _, value: server.set_idle_timeout(value),
    ),
    "half_close_timeout": RuntimeLimit(
        parse_duration,
        lambda server, _: server.half_close_timeout,
        lambda server, _, value: server.set_half_close_timeout(value),
    ),
}


def parse_limit(name: LimitName, value: str | float | None) -> Value:
    """Read the value of a limit: a number, text as in the option of the same name, ``off`` or None.

    Raises InvalidValue, which names the limit.
    """
    if value is None or value == OFF:
        return None
    try:
        return LIMITS[name].parse(value if isinstance(value, str) else f"{value}")
    except InvalidValue as error:
        raise InvalidValue(f"{name}: {error}") from None
