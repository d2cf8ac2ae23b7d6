"""Events as the API writes them."""

import json

import pytest

from portside.control.event_json import event_line, head_of, missed_line
from portside.events import Opened, Received

AT = 1_700_000_000_123_456_789


def received(data: bytes) -> Received:
    return Received(AT, 7, "127.0.0.1:5000", data)


def test_an_event_has_its_number_first() -> None:
    line = event_line((3, Opened(AT, 7, "127.0.0.1:5000", "127.0.0.1:12345")), "none")
    assert line == (
        b'{"seq":3,"event":"opened","at":"2023-11-14T22:13:20.123456Z","conn":7,"peer":"127.0.0.1:5000",'
        b'"local":"127.0.0.1:12345"}\n'
    )
    assert missed_line(9, 4) == b'{"seq":9,"event":"missed","count":4}\n'


def test_how_much_payload_there_is() -> None:
    event = received("é".encode() * 200)
    everything, head, none = (json.loads(event_line((1, event), mode)) for mode in ("all", "head", "none"))
    assert everything["text"] == "é" * 200
    assert "cut" not in everything
    assert (head["text"], head["size"], head["cut"]) == ("é" * 128, 400, True)
    assert none["size"] == 400
    assert not {"text", "base64", "cut"} & none.keys()
    short = json.loads(event_line((1, received(b"short")), "head"))
    assert (short["text"], "cut" in short) == ("short", False)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"x" * 300, 256),
        (b"x" * 255 + "é".encode() * 9, 255),
        (b"x" * 253 + "😀".encode() * 9, 253),
        (b"x" * 255 + b"\xc3" + b"x" * 9, 256),  # not the beginning of a character
        (b"x" * 255 + b"\xff" * 9, 256),
        (b"\xff" * 300, 256),
    ],
)
def test_a_head_ends_with_a_whole_character(data: bytes, length: int) -> None:
    assert head_of(data) == data[:length]


def test_half_a_character_is_base64_and_a_script_is_text() -> None:
    assert json.loads(event_line((1, received(b"\xc3")), "all"))["base64"] == "ww=="
    line = event_line((1, received(b"<script>\x1b[31m\xc2\x9b")), "all")
    assert b'"text":"<script>\\u001b[31m\\u009b"' in line
    assert line.count(b"\n") == 1
