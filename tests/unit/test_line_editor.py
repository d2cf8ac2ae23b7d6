"""A line being edited."""

import pytest

from portside.wire.line_editor import LineEditor


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
        ("ctrl+left ctrl+left", "|state established"),
        ("home ctrl+right alt+f alt+b", "state |established"),
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
    assert (line.text, line.cursor) == ("ab\x1b\nc", 4)


@pytest.mark.parametrize("key", ["backspace", "left delete"])
def test_a_character_goes_with_its_combining_marks(key: str) -> None:
    line = LineEditor("ae\u0301\u0323")
    for each in key.split():
        line.press(each)
    assert (line.text, line.cursor) == ("a", 1)
    line.press("right")
    assert line.cursor == 1
