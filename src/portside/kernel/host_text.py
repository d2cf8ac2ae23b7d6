"""One address of a socket as text, as every display of the table writes it."""

from socket import AF_INET, AF_INET6, inet_ntop

MAPPED_PREFIX = bytes(10) + b"\xff\xff"
LINK_LOCAL = b"\xfe\x80"


def host_text(address: bytes) -> str:
    """``127.0.0.1`` for 4 bytes or an address mapped into IPv6 (RFC 4291, section 2.5.5.2), ``[::1]`` for 16."""
    if len(address) == 4:
        return inet_ntop(AF_INET, address)
    if address.startswith(MAPPED_PREFIX):
        return inet_ntop(AF_INET, address[12:])
    return f"[{inet_ntop(AF_INET6, address)}]"


def zoned(host: str, zone: str | int) -> str:
    """``[fe80::1%eth0]``, ``127.0.0.1%lo``: the text of an address with the name of its interface, or its number."""
    return f"{host[:-1]}%{zone}]" if host.endswith("]") else f"{host}%{zone}"
