"""The arguments of ``listen`` checked, and what takes files and names made of them, before there is a server."""

import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from portside.addresses import Address, parse_addresses
from portside.api.handlers import Handler
from portside.api.keywords import NOT_IN_LISTEN, make_settings
from portside.api.notices import log_notice
from portside.app.opening import DEFAULT_ADDRESSES, check_behaviour, make_pre_connect, open_ports
from portside.errors import InvalidValue, UsageError
from portside.server.admission import Admission, admission_of
from portside.server.listener import Listener
from portside.server.pre_connect import PreConnect
from portside.settings.effects import check_listen
from portside.settings.listen import Listen
from portside.units import parse_size

if TYPE_CHECKING:
    from portside.api.options import Size


class Request(NamedTuple):
    """The arguments of ``listen``, checked."""

    settings: Listen
    addresses: tuple[Address, ...]
    handler: Handler | None
    transcript_bytes: int


def read_request(
    addresses: Sequence[str | int],
    handler: Handler | None,
    transcript: "Size",
    options: Mapping[str, Any],
    *,
    flags: Sequence[str] = (),
) -> Request:
    """Check the arguments of ``listen``; ``flags`` are options that count as given. Raises UsageError."""
    try:
        parsed = parse_addresses([str(each) for each in addresses])
        limit = parse_size(str(transcript))
    except InvalidValue as problem:
        raise UsageError("listen", str(problem)) from None
    if handler is not None:
        flags = (*flags, "--handler")
    settings = make_settings(Listen, "listen", options, without=NOT_IN_LISTEN, also={"addresses": parsed}, flags=flags)
    return Request(settings, parsed or DEFAULT_ADDRESSES, handler, limit)


class Prepared(NamedTuple):
    """The parts of a server that take files and names, and so are made on another thread than the loop's."""

    settings: Listen
    listeners: list[Listener]
    admission: Admission
    pre_connect: PreConnect


def prepare(request: Request, socket_class: type[socket.socket] | None = None) -> Prepared:
    """Check the files that a server needs, and open its ports, with sockets of this class. Raises PortsideError."""
    settings, addresses = request.settings, request.addresses
    if settings.rules is not None:
        from portside.app.rules import load_rules

        load_rules.cache_clear()  # an earlier server of this process may have read an earlier content of the file
    settings = check_behaviour(settings)
    pre_connect = make_pre_connect(settings, log_notice)
    check_listen(settings, addresses)
    admission = admission_of(settings)
    return Prepared(settings, open_ports(settings, addresses, socket_class), admission, pre_connect)
