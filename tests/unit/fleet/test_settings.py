"""Values of the options of agent and fleet."""

import pytest

from portside.errors import InvalidValue
from portside.fleet.broker import without_password
from portside.settings.agent import parse_name, parse_otlp_url, parse_outbox_size
from portside.settings.broker import parse_nats_urls


def test_servers() -> None:
    assert parse_nats_urls("broker:4222") == ("nats://broker:4222",)
    assert parse_nats_urls("nats://a,tls://[::1]:4222") == ("nats://a", "tls://[::1]:4222")


@pytest.mark.parametrize("text", ["", "http://a:1", "nats://", "nats://a:port", "nats://a:99999", "nats://a b", "a,,b"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no NATS server"):
        parse_nats_urls(text)


def test_passwords_are_not_shown() -> None:
    assert without_password("nats://me:s3cret@broker:4222") == "nats://broker:4222"
    assert without_password("nats://broker:4222") == "nats://broker:4222"


@pytest.mark.parametrize("text", ["http://me:s3cret@a:1", "me:s3cret@a:99999", "nats://b,nats://me:s3@cret@a b"])
def test_passwords_are_not_shown_of_what_is_no_server(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_nats_urls(text)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "a" in str(caught.value).partition("is no")[0]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("https://[::1]:4318/", "https://[::1]:4318/v1/metrics"),
        ("http://prometheus:9090/api/v1/otlp/v1/metrics", "http://prometheus:9090/api/v1/otlp/v1/metrics"),
    ],
)
def test_collectors(text: str, url: str) -> None:
    assert parse_otlp_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "collector:4318", "grpc://a:4317", "http://", "http://a:99999", "http://a b", "http://ä"],
)
def test_what_is_no_collector(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no URL of a collector"):
        parse_otlp_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:s3cret@a:4318",
        "me:s3cret@a:99999",
        "http://me:12/s3cret@a",
        "https://a/v1?key=s3cret",
        "http://a#s3cret",
    ],
)
def test_passwords_are_not_shown_of_a_collector(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_otlp_url(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a b", "a\x1b", "x" * 129])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no name"):
        parse_name(text)


def test_the_least_outbox() -> None:
    assert parse_outbox_size("1M") == 1 << 20
    with pytest.raises(InvalidValue, match="1M at least"):
        parse_outbox_size("1023k")
