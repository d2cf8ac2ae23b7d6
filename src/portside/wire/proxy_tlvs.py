"""The type-length-value fields of a PROXY header of version 2 (proxy-protocol.txt, section 2.2).

The values come from the network: text is escaped, and binary values are written in hex.
"""

from typing import Final, NamedTuple

from portside.errors import InvalidValue
from portside.wire.escaping import escape

TYPE_CRC32C: Final = 0x03
TYPE_NOOP: Final = 0x04
TYPE_SSL: Final = 0x20
_TEXTS: Final = {0x01: "alpn", 0x02: "authority", 0x30: "netns"}
_HEXES: Final = {TYPE_CRC32C: "crc32c", 0x05: "unique_id"}
_SSL_TEXTS: Final = {0x21: "version", 0x22: "cn", 0x23: "cipher", 0x24: "sig_alg", 0x25: "key_alg", 0x26: "group"}
_SSL_CLIENT: Final = {"tls": 1, "cert": 2, "cert_of_session": 4}  # bits: who connected by TLS, with a certificate

Tlvs = dict[str, "str | int | bool | list[str] | Tlvs"]


class Tlv(NamedTuple):
    """One field; ``at`` is the offset of its value in the block."""

    type: int
    value: bytes
    at: int


def cut_tlvs(block: bytes) -> list[Tlv]:
    """Cut a block into its TLVs. Raises InvalidValue where they do not fill it."""
    tlvs, at = [], 0
    while at < len(block):
        end = at + 3 + int.from_bytes(block[at + 1 : at + 3], "big")
        if at + 3 > len(block) or end > len(block):
            raise InvalidValue("a TLV of its PROXY header goes beyond the header's end")
        tlvs.append(Tlv(block[at], block[at + 3 : end], at + 3))
        at = end
    return tlvs


def named_tlvs(tlvs: list[Tlv]) -> Tlvs:
    """TLVs by name, for showing: ``alpn``, ``authority``, ``unique_id``, ``ssl`` …; one without a name by its number.

    What comes more than once is a list. Raises InvalidValue where that of TLS is malformed.
    """
    named: Tlvs = {}
    for tlv in tlvs:
        if tlv.type == TYPE_NOOP:
            continue
        if tlv.type == TYPE_SSL:
            named["ssl"] = _ssl(tlv.value)
            continue
        text = tlv.type in _TEXTS
        name = _TEXTS.get(tlv.type) or _HEXES.get(tlv.type) or f"0x{tlv.type:02x}"
        _put(named, name, escape(tlv.value) if text else tlv.value.hex())
    return named


def _ssl(value: bytes) -> Tlvs:
    """How the client speaks to the proxy: 1 byte of bits, 4 of OpenSSL's verify result, TLVs."""
    if len(value) < 5:
        raise InvalidValue("the TLV on TLS of its PROXY header is too short")
    ssl: Tlvs = {name: bool(value[0] & bit) for name, bit in _SSL_CLIENT.items()}
    ssl["verify"] = int.from_bytes(value[1:5], "big")  # 0: it has a certificate, and that is good
    for tlv in cut_tlvs(value[5:]):
        name = _SSL_TEXTS.get(tlv.type)
        _put(ssl, name or f"0x{tlv.type:02x}", escape(tlv.value) if name else tlv.value.hex())
    return ssl


def _put(named: Tlvs, name: str, value: str) -> None:
    before = named.get(name)
    if isinstance(before, list):
        before.append(value)
    else:
        named[name] = value if before is None else [str(before), value]
