"""Which peers ``rec list --peer`` means, and what it refuses because it could never match."""

import os

import pytest

from portside.addresses import parse_address
from portside.errors import InvalidValue
from portside.record.search import peer_matcher


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("10.0.0.1", "10.0.0.1:3301"),
        ("10.0.0.0/8", "10.9.9.9:1"),
        ("10.0.0.1:3301", "10.0.0.1:3301"),
        (":3301", "10.0.0.1:3301"),
        (":3301", "[::1]:3301"),
        (":3000-4000", "[::1]:3301"),
        ("::1", "[::1]:3301"),
        ("[::1]", "[::1]:3301"),
        ("[::1]:3301", "[::1]:3301"),
        ("[0:0:0:0:0:0:0:1]:3301", "[::1]:3301"),
        ("[::ffff:10.0.0.1]:3301", "10.0.0.1:3301"),
        ("::ffff:10.0.0.1", "10.0.0.1:3301"),
        ("fe80::1", "[fe80::1%eth9]:7"),
        ("[fe80::1%eth9]:7", "[fe80::1%eth9]:7"),
        ("Example.test:443", "example.test:443"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_what_matches(text: str, peer: str) -> None:
    assert peer_matcher(text)(peer)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("10.0.0.1:3301", "10.0.0.1:3302"),
        ("10.0.0.1:3301", "10.0.0.2:3301"),
        (":3301", "10.0.0.1:33010"),
        (":3301", "unix:/run/x:3301"),
        ("[::1]", "127.0.0.1:1"),
        ("10.0.0.0/8", "unix:/run/x"),
        ("10.0.0.0/8", ""),
    ],
)
def test_what_does_not(text: str, peer: str) -> None:
    assert not peer_matcher(text)(peer)


@pytest.mark.parametrize(
    "text",
    ["", "x", "localhost", "3301", "10.0.0.1:", "10.0.0.1:99999", "[::1", "::1:x:y", "10.0.0.0/99", "unix:", "[x]"],
)  # fmt: skip
def test_what_can_never_match_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no peer"):
        peer_matcher(text)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:a00:0/104", "10.0.0.1:5"])
def test_an_address_matches_in_each_of_its_forms(text: str) -> None:
    matches = peer_matcher(text)
    assert matches("10.0.0.1:5")
    assert not matches("11.0.0.1:5")
    assert not matches("[::1]:5")
    assert not matches("unix:/run/x")


def test_an_address_of_one_link_is_not_that_of_another() -> None:
    matches = peer_matcher("fe80::1%eth0")
    assert matches("[fe80::1%eth0]:5")
    assert not matches("[fe80::1%eth1]:5")
    assert peer_matcher("fe80::1")("[fe80::1%eth1]:5")


def test_a_unix_path_matches_as_it_was_given_and_as_it_is_shown() -> None:
    given = os.fsdecode(b"unix:/run/\xff.sock")
    assert peer_matcher(given)(str(parse_address(given)))
    assert peer_matcher("unix:/run/\\xff.sock")(str(parse_address(given)))
    assert not peer_matcher(given)("unix:/run/other.sock")
