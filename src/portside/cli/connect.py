"""``portside connect``: parse the settings, determine the address to connect to, and only then load the rest."""

from typing import TYPE_CHECKING

from portside.addresses import Address, parse_target
from portside.errors import InvalidValue, UsageError
from portside.settings.connect import Connect
from portside.settings.effects import check_address, check_connect, check_name

if TYPE_CHECKING:
    from portside.client.proxy import ProxyUrl

_USAGE = "portside connect HOST:PORT"
_SCAN_USAGE = "portside connect --scan HOST 20-1024"


def run(settings: Connect) -> int:
    """Connect with these settings and move bytes until the end; the exit status."""
    address = _address(settings)
    check_name(settings, address)
    check_connect(settings, address)
    proxy = _proxy(settings, address)
    program = _program(settings)

    from portside.app import connect

    return connect.run(settings, address, proxy, program)


def _address(settings: Connect) -> Address:
    """Whom to connect to. Raises UsageError."""
    try:
        address = parse_target(settings.target)
    except InvalidValue as problem:
        raise UsageError("connect", str(problem), _SCAN_USAGE if settings.scan else _USAGE) from None
    if settings.scan and address.path is not None:
        raise UsageError("connect", "--scan takes ports, and a unix socket has none")
    check_address(settings, address)
    return address


def _proxy(settings: Connect, address: Address) -> "ProxyUrl | None":
    if settings.proxy is None:
        return None
    from portside.client.proxy import parse_proxy

    if address.path is not None:
        raise UsageError("connect", "a proxy leads to no unix socket")
    try:
        return parse_proxy(settings.proxy)
    except InvalidValue as problem:
        raise UsageError("--proxy", str(problem)) from None


def _program(settings: Connect) -> list[str] | None:
    """The words of the command to run on the connection."""
    if settings.sh_exec is not None:
        return ["/bin/sh", "-c", settings.sh_exec]
    if settings.exec is None:
        return None
    from portside.client.process import split_command

    return split_command(settings.exec)
