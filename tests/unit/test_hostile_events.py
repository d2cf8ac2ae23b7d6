"""Every field of every event, in every format and in JSON, with all of Unicode's control and format characters."""

import json
import typing
from base64 import b64decode
from typing import Any

import pytest
from hostile import CHARACTERS, FIELD, PAYLOAD, unsafe

from portside.events import EVENTS, Closed, Event, Proxy, Received, Tls, to_json
from portside.feed.render import make_renderer
from portside.json_text import encode_json
from portside.wire.frame import Frame

SAMPLES: dict[str, object] = {
    "at": 1_800_000_000_000_000_000,
    "data": PAYLOAD,
    "conn": 1,
    "tls": Tls(FIELD, FIELD, FIELD, FIELD, FIELD),
    "proxy": Proxy(FIELD, 2, FIELD, {FIELD: FIELD, "authority": FIELD}),
}
NUMBERS: dict[str, object] = {"duration": 1.0, "cut": False, "over": True, "leg": "upstream", "direction": "in"}


def hostile(kind: type[Event]) -> Event:
    """An event each of whose strings is hostile; the reason of a closing is an enumeration that readers check."""
    fields: dict[str, object] = {}
    for name, annotation in typing.get_type_hints(kind).items():
        if name not in kind.__struct_fields__:
            continue
        is_closing = kind.event == "closed" and name in ("reason", "by")
        if name in SAMPLES:
            fields[name] = SAMPLES[name]
        elif is_closing:
            fields[name] = "error" if name == "reason" else None
        elif name in NUMBERS:
            fields[name] = NUMBERS[name]
        elif annotation is int or int in typing.get_args(annotation):
            fields[name] = 7
        else:
            fields[name] = FIELD
    return typing.cast("Any", kind)(**fields)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.event)
@pytest.mark.parametrize("form", ["text", "json", "hex", "classic", "raw"])
def test_no_format_shows_a_field_as_it_is(kind: type[Event], form: str) -> None:
    renderer = make_renderer(form, terminal=True)
    shown = b"".join([*renderer.render([hostile(kind)]), *renderer.tick(float("inf"), 1)])
    assert unsafe(shown.replace(b"\t", b"") if form == "raw" else shown) == []


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.event)
def test_a_field_makes_no_line_of_its_own(kind: type[Event]) -> None:
    event = hostile(kind)
    for form in ("text", "json", "classic"):
        if hasattr(event, "data"):
            continue
        renderer = make_renderer(form)
        shown = b"".join([*renderer.render([event]), *renderer.tick(float("inf"), 1)])
        assert shown.count(b"\n") <= 1


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.event)
def test_json_says_what_the_field_was(kind: type[Event]) -> None:
    written = to_json(hostile(kind))
    assert written.decode().isprintable()
    for name, value in json.loads(written).items():
        if name not in ("event", "at", "text", "base64", "size") and isinstance(value, str):
            assert value in (FIELD, "error", "upstream", "in")


@pytest.mark.parametrize("form", ["text", "json", "hex", "classic"])
@pytest.mark.parametrize("frame", ["none", "lines"])
@pytest.mark.parametrize(
    "data",
    [
        PAYLOAD + b"\n",
        f"{CHARACTERS}\n".encode() * 100,
        "".join(f"a line {character}\n" for character in CHARACTERS).encode(),
        b"all plain\n" * 50 + b"but\x7f\n",
    ],
    ids=["mixed", "large", "lines", "one"],
)
def test_no_way_to_render_payload_is_a_way_round(form: str, frame: str, data: bytes) -> None:
    renderer = make_renderer(form, frame=Frame(frame))
    shown = b"".join(renderer.render([Received(1, 1, "p", data), Closed(2, 1, "p", "peer_closed", 1, 1, 1.0)]))
    assert unsafe(shown) == []
    if form == "json":
        events = [event for event in map(json.loads, shown.splitlines()) if event["event"] == "received"]
        parts = [event["text"].encode() if "text" in event else b64decode(event["base64"]) for event in events]
        assert b"".join(parts) == data


def test_json_of_each_character() -> None:
    for character in CHARACTERS:
        written = encode_json({"text": f"a{character}b"})
        assert written.decode().isprintable()
        assert json.loads(written) == {"text": f"a{character}b"}


def test_json_of_bytes_that_are_no_utf8() -> None:
    assert encode_json(["a\udcffb", {"\udc80": ("\ud800",)}]) == b'["a\\\\xffb",{"\\\\x80":["\\\\ud800"]}]'


def test_json_of_what_is_printable_is_utf8() -> None:
    assert encode_json("Grüße 漢字 🦔").decode() == '"Grüße 漢字 🦔"'
