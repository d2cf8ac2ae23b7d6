"""Addresses as users, peers and recordings write them: to listen on, to connect to, of proxies, networks and ends."""

import random
from collections.abc import Callable
from ipaddress import ip_network
from typing import TypeVar

from fuzz._mutations import mutate_text
from portside.addresses import Address, lacks_interface, parse_address, parse_ports, unknown_interface
from portside.client.proxy import parse_proxy
from portside.errors import InvalidValue
from portside.networks import contains, normal_ip, parse_network
from portside.settings.values import parse_source, parse_upstream
from portside.wire.proxy_header import endpoint_of
from portside.wire.tcpip import parse_endpoint

_WRITTEN = (
    "12345", ":12345", "0", "localhost:80", "127.0.0.1:33406", "[::1]:80", "[fe80::1%eth0]:80", "[fe80::1%12]:http",
    "example.org:8000-8010", "tcp://host:1", "unix:/run/x", "unix:@x", "unix:", "fd:3", "*:80", "::ffff:10.0.0.1",
    "10.0.0.0/8", "fe80::%lo/64", "::ffff:10.0.0.0/104", "socks5://me:p%40ss@proxy:1080", "http://[fe80::1%25eth0]:80",
    "b\u00fccher.example:443", "0x7f.1:80", "1.2.3:4",
)  # fmt: skip
_Value = TypeVar("_Value")
_ANY_NETWORK = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def make_input(chance: random.Random) -> str:
    """An address of some kind, with no to six characters wrong."""
    return mutate_text(chance.choice(_WRITTEN), chance)


def accepts(value: str) -> bool:
    """Read a text as each kind of address; True where it is any."""
    lacks_interface(value)
    unknown_interface(value)
    normal_ip(value)
    address = _read(parse_address, value)
    if address is not None:
        _check_address(address)
    network = _read(parse_network, value)
    if network is not None:
        assert contains(str(network.network_address), (network,))
    if _read(lambda text: contains(text, _ANY_NETWORK), value) is False:
        raise AssertionError("an address that is in no network")
    end, sent = parse_endpoint(value), endpoint_of(value)
    if end is not None:
        assert sent is not None
        assert end.port == sent[1]
    proxy = _read(parse_proxy, value)
    if proxy is not None:
        assert proxy.password == "" or f":{proxy.password}@" not in f"{proxy!r}{proxy}"
    read = (_read(parse, value) for parse in (parse_ports, parse_source, parse_upstream))
    return any(each is not None for each in (address, network, end, proxy, *read))


def _check_address(address: Address) -> None:
    assert (address.path is None) == bool(address.ports)
    if address.ports:
        assert 0 <= address.ports[0] <= address.ports[-1] <= 65535
    if address.path is None or "\udcff" not in address.path:  # a byte that is no UTF-8 is shown as an escape
        assert parse_address(str(address)) == address
    str(address).encode()
    _ = address.unix_name


def _read(parse: Callable[[str], _Value], text: str) -> _Value | None:
    try:
        return parse(text)
    except (InvalidValue, ValueError):
        return None
