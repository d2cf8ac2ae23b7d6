"""The header of the console: whose connections it shows."""

import pytest

from portside.tui.console.header import _whose


@pytest.mark.parametrize(
    ("lives", "words"),
    [
        ({"alive": 3, "late": 0, "gone": 0}, "3 nodes"),
        ({"alive": 1, "late": 0, "gone": 1}, "2 nodes: 1 alive, 1 gone"),
        ({"alive": 0, "late": 1, "gone": 0}, "1 node: 0 alive, 1 late"),
    ],
)
def test_nodes_that_are_not_alive_are_told_apart(lives: dict[str, int], words: str) -> None:
    assert _whose({"nodes": lives}) == words
