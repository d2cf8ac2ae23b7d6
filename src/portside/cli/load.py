"""``portside load``: parse the settings, determine the server, and only then load the rest."""

import os

from portside.addresses import Address, is_bare_host, join_host_port, parse_address
from portside.errors import InvalidValue, UsageError
from portside.settings.load import Load

_USAGE = "portside load HOST:PORT"


def run(settings: Load) -> int:
    """Load a server and report; the exit status."""
    try:
        address = _address(settings.target)
    except InvalidValue as problem:
        raise UsageError("load", str(problem), _USAGE) from None
    # The workers are forked, and numpy's linear algebra would start threads before that.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from portside.load import run as load

    return load.run(settings, address)


def _address(target: tuple[str, ...]) -> Address:
    match target:
        case [text]:
            address = parse_address(text)
        case []:
            raise InvalidValue("it names no server")
        case [host, port] if is_bare_host(host):
            address = parse_address(join_host_port(host, port))
        case _:
            raise InvalidValue("write HOST:PORT or HOST PORT")
    if address.path is None and len(address.ports) > 1:
        raise InvalidValue("a server has one port, and this is a range")
    return address
