"""The URLs of proxies."""

import pytest

from portside.addresses import Address
from portside.client.proxy import ProxyUrl, parse_proxy
from portside.errors import InvalidValue


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("socks5://127.0.0.1:1080", ProxyUrl("socks5", Address("127.0.0.1", range(1080, 1081)), "", "")),
        ("socks5h://proxy:1080/", ProxyUrl("socks5h", Address("proxy", range(1080, 1081)), "", "")),
        ("http://[::1]:3128", ProxyUrl("http", Address("::1", range(3128, 3129)), "", "")),
        ("http://[fe80::1%25Eth0]:80", ProxyUrl("http", Address("fe80::1%Eth0", range(80, 81)), "", "")),
        ("http://[fe80::1%Eth0]:80", ProxyUrl("http", Address("fe80::1%Eth0", range(80, 81)), "", "")),
        ("http://me@proxy:80", ProxyUrl("http", Address("proxy", range(80, 81)), "me", "")),
        ("HTTP://me:p%40ss%3A@proxy:80", ProxyUrl("http", Address("proxy", range(80, 81)), "me", "p@ss:")),
    ],
)
def test_urls(url: str, proxy: ProxyUrl) -> None:
    assert parse_proxy(url) == proxy


def test_the_password_is_in_no_words() -> None:
    proxy = parse_proxy("http://me:secret@proxy:80")
    assert str(proxy) == "http://proxy:80"
    assert "secret" not in repr(proxy)
    assert "me" not in repr(proxy)


@pytest.mark.parametrize(
    "url", ["", "proxy:80", "ftp://proxy:80", "http://proxy", "http://:80", "http://p:80/x", "http://p:80?x"]
)
def test_no_urls(url: str) -> None:
    with pytest.raises(InvalidValue, match="proxy"):
        parse_proxy(url)
