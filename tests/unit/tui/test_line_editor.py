"""A line being edited."""

import pytest

from portside.tui.line_editor import LineEditor


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("", "state established|"),
        ("backspace ctrl+h", "state establish|"),
        ("left ctrl+b right ctrl+f right", "state established|"),
        ("home delete", "|tate established"),
        ("ctrl+a left backspace", "|state established"),
        ("home right ctrl+k", "s|"),
        ("ctrl+a end ctrl+d", "state established|"),
        ("left ctrl+u ctrl+e", "d|"),
        ("ctrl+w", "state |"),
        ("ctrl+w ctrl+w ctrl+w", "|"),
        ("f5 tab", "state established|"),
    ],
)
def test_keys(keys: str, shown: str) -> None:
    line = LineEditor("state established")
    for key in keys.split():
        line.press(key)
    assert f"{line.text[: line.cursor]}|{line.text[line.cursor :]}" == shown


def test_insert() -> None:
    line = LineEditor("ac")
    line.press("left")
    line.insert("b\x1b\n")
    assert (line.text, line.cursor) == ("ab  c", 4)
