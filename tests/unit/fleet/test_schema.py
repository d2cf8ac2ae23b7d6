"""Messages of a fleet: what is written is read again, and what cannot be read says so."""

import msgspec
import pytest

from portside.errors import InvalidValue
from portside.fleet.schema import (
    KINDS,
    RECORD_TYPES,
    VERSION,
    ConnectionEvent,
    Envelope,
    LaterVersion,
    OutboxStatus,
    ServerEvent,
    decode,
    encode,
)
from portside.fleet.subjects import kind_of, of_kinds, subject
from portside.kernel.models import Owner, Socket

SOCKET = Socket(
    proto="tcp",
    family=4,
    state="CLOSE",
    recv_q=0,
    send_q=None,
    local="10.0.0.1:5432",
    remote="10.0.0.2:40000",
    inode=None,
    uid=0,
    owners=(Owner(pid=1, program="postgres", fd=5),),
    info={"rtt_us": 250, "cong": "cubic"},
    gaps={"inode": "the kernel has forgotten it"},
)
CLOSED = ConnectionEvent(event="closed", at="2026-11-28T01:00:00.000001Z", seen="destroy", socket=SOCKET, duration=2.5)


def message(kind: str, *records: msgspec.Struct, v: int = VERSION) -> Envelope:
    return Envelope(
        v=v, kind=kind, site="paris", node="web1", boot="b00t", seq=7, at="2026-11-28T01:00:00Z", records=records
    )


@pytest.mark.parametrize("json", [False, True])
def test_a_message_is_read_as_it_was_written(json: bool) -> None:
    written = message("closed", CLOSED, CLOSED)
    data = encode(written, json=json)
    assert data.startswith(b"{") == json
    read = decode(data, "closed")
    assert tuple(read.records) == (CLOSED, CLOSED)
    assert read.id == written.id == "web1-b00t-7"


def test_each_kind_has_a_type_of_record() -> None:
    assert set(KINDS) == set(RECORD_TYPES)


@pytest.mark.parametrize("json", [False, True])
def test_a_later_version_is_told_from_damage(json: bool) -> None:
    with pytest.raises(LaterVersion):
        decode(encode(message("closed", v=VERSION + 1), json=json), "closed")
    with pytest.raises(LaterVersion):
        decode(encode(message("forecast"), json=json), "forecast")


def test_a_field_of_a_later_writer_is_ignored() -> None:
    data = msgspec.json.decode(encode(message("server", ServerEvent(pid=4, event={"event": "opened"})), json=True))
    data["colour"] = data["records"][0]["shape"] = "round"
    assert decode(msgspec.msgpack.encode(data), "server").records[0].pid == 4


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{}", b"\xc1", b"\x81\xa1v\x01", b'{"v":1,"records":[]}', b'{"v":"one"}', b"[" * 100_000]
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="no message of the kind closed"):
        decode(data, "closed")


def test_records_of_another_kind_are_no_message() -> None:
    with pytest.raises(InvalidValue):
        decode(encode(message("closed", OutboxStatus(records=1, bytes=1, oldest_s=None, dropped=0))), "closed")


def test_json_may_be_shown_on_a_terminal() -> None:
    data = encode(message("server", ServerEvent(pid=1, event={"text": "\x1b[2J\u202e"})), json=True)
    assert data.isascii()
    assert b"\x1b" not in data


@pytest.mark.parametrize(
    ("site", "node", "expected"),
    [
        ("paris", "web1", "portside.paris.web1.closed"),
        ("paris", "web1.example.com", "portside.paris.web1_example_com.closed"),
        ("*", ">", "portside._._.closed"),
        ("a b", "Zürich", "portside.a_b.Z_rich.closed"),
        ("", "\r\n", "portside._.__.closed"),
    ],
)
def test_names_become_words_of_a_subject(site: str, node: str, expected: str) -> None:
    assert subject(site, node, "closed") == expected
    assert kind_of(expected) == "closed"


def test_subjects_of_a_consumer() -> None:
    assert of_kinds(["closed", "node"]) == ["portside.*.*.closed", "portside.*.*.node"]
    assert of_kinds(["open"], node="web.1") == ["portside.*.web_1.open"]
