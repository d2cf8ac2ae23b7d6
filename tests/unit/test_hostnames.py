"""One host in the forms of DNS, TLS, SOCKS and CONNECT."""

import pytest

from portside.errors import InvalidValue
from portside.hostnames import connect_host, ip_of_host, resolver_host, socks_host, tls_host


@pytest.mark.parametrize(
    ("host", "for_resolver", "for_tls", "for_connect"),
    [
        ("localhost", b"localhost", "localhost", "localhost"),
        ("example.org.", b"example.org.", "example.org", "example.org."),
        ("my_host.test", b"my_host.test", "my_host.test", "my_host.test"),
        ("bücher.test", b"xn--bcher-kva.test", "xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("BÜCHER.test", b"xn--bcher-kva.test", "xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("bu\u0308cher.test", b"xn--bcher-kva.test", "xn--bcher-kva.test", "xn--bcher-kva.test"),  # decomposed
        ("straße.test", b"xn--strae-oqa.test", "xn--strae-oqa.test", "xn--strae-oqa.test"),
        ("例え。テスト", b"xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah"),
        ("i❤.test", b"xn--i-7iq.test", "xn--i-7iq.test", "xn--i-7iq.test"),
        ("127.0.0.1", b"127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.1", b"127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", b"127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", b"::1", "::1", "[::1]"),
        ("2001:DB8:0:0::0001", b"2001:db8::1", "2001:db8::1", "[2001:db8::1]"),
        ("::ffff:127.0.0.1", b"127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::FFFF:7F00:1", b"127.0.0.1", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_forms(host: str, for_resolver: bytes, for_tls: str, for_connect: str) -> None:
    assert resolver_host(host) == for_resolver
    assert tls_host(host) == for_tls
    assert connect_host(host) == for_connect
    assert socks_host(host) == for_connect.strip("[]")


def test_a_zone_is_for_this_machine_alone() -> None:
    assert resolver_host("FE80::1%eth0") == b"fe80::1%eth0"
    assert tls_host("fe80::1%eth0") == "fe80::1"
    for told in (connect_host, socks_host):
        with pytest.raises(InvalidValue, match="interface of this machine"):
            told("fe80::1%eth0")


def test_a_name_of_a_certificate_may_be_written_in_brackets() -> None:
    assert tls_host("[::1]") == "::1"


@pytest.mark.parametrize("host", ["", "a", "1.2.3.4.5", "1.2.3.256", "::g", "1.2.3.4%lo", "x::1", "x%lo"])
def test_what_is_a_name(host: str) -> None:
    assert ip_of_host(host) is None


@pytest.mark.parametrize("host", ["ü" * 64 + ".test", "ü..test", "\udcff.test"])
def test_what_is_no_name(host: str) -> None:
    with pytest.raises(InvalidValue, match="no host name"):
        resolver_host(host)


def test_a_name_that_is_too_long_for_a_proxy() -> None:
    with pytest.raises(InvalidValue, match="cannot be sent to a proxy"):
        socks_host("a." * 200 + "test")
