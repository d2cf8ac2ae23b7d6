"""Peers as ``rec list --peer`` names them."""

import pytest

from portside.record.search import peer_matcher


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
