"""What is sent: variables, lengths, checksums."""

import re

import pytest
from unit.rules.scripted_client import ScriptedClient, rendered

from portside.errors import InvalidValue
from portside.wire.checksums import CHECKSUMS
from portside.wire.rules.template import text_template

CHECK = {  # of b"123456789": the catalogue's check values, turned round where the low byte goes first
    "sum8": "dd",
    "sum16": "01dd",
    "xor8": "31",
    "lrc": "23",
    "crc8": "f4",
    "crc8-maxim": "a1",
    "crc16-modbus": "374b",
    "crc16-arc": "3dbb",
    "crc16-kermit": "8921",
    "crc16-x25": "6e90",
    "crc16-ccitt": "29b1",
    "crc16-xmodem": "31c3",
    "crc32": "cbf43926",
    "crc32c": "839206e3",
    "adler32": "091e01de",
}


def test_the_text_of_a_time_is_not_for_strftime() -> None:
    """It would end at the NUL, and has no byte that is not UTF-8."""
    client = ScriptedClient.replying("* => ${time:%-H%%\0%Z\udcff}")
    assert client.say(b"hello") == b"12%\0UTC\xff"


def test_every_checksum_gives_its_check_value() -> None:
    assert CHECK.keys() == CHECKSUMS.keys()
    for name, value in CHECK.items():
        assert rendered(f"${{{name}:message}}", message=b"123456789").hex() == value, name


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ("plain", b"plain"),
        (r"a\n\x02\\", b"a\n\x02\\"),
        ('$5 {"a": {}} $${peer}', b'$5 {"a": {}} ${peer}'),
        ("${message}|${peer}|${local}|${conn}|${count}|${state}", b"hello|192.0.2.1:5|192.0.2.2:6|7|1|start"),
        ("${0}${message[1:-1]}${message[-2:]}${message[:1]}", b"helloellloh"),
        ("${time}", b"2026-10-30T12:00:01.123456Z"),
        ("${time:%H:%M:%S} ${time:unix} ${time:unix-ms}", b"12:00:01 1793361601 1793361601123"),
        ("${hex:message}", b"68656c6c6f"),
        ("${u8:message}${u16be:message+1}${u16le:message-1}", b"\x05\x00\x06\x04\x00"),
        ("${u24be:message}${u24le:message+1}", b"\0\0\x05\x06\0\0"),
        ("${u32be:message}${u32le:message[1:]}", b"\0\0\0\x05\x04\0\0\0"),
        ("${len:message} ${len:message:3} ${len:message-9:2}", b"5 005 00"),
        ("${crc16-modbus:message:be}${crc16-modbus:message:le}", b"4\xf6\xf64"),
        ("${xor8:message:hex}${xor8:message:HEX}${sum8:message[1:2]:HEX}", b"626265"),
        ("ab${u8:before}${u8:after}cde${len:answer:2}", b"ab\x02\x05cde09"),
        ("x${sum8:before}y${sum8:after}z", b"x" + b"x" + b"y" + b"z" + b"z"),
        ("${u8:after-1}ab${sum8:before[1:]}", b"\x02ab\xc3"),
        ("ab${sum8:answer}", b"ab\xc3"),
    ],
)
def test_answers(answer: str, sent: bytes) -> None:
    assert rendered(answer) == sent


def test_hex_answers() -> None:
    assert rendered("02 ${u8:after-2} 41 42 ${crc16-modbus:before}", hexed=True)[:4] == b"\x02\x02AB"
    assert rendered("06 ff", hexed=True) == b"\x06\xff"


def test_a_length_is_known_before_a_checksum_over_it() -> None:
    sent = rendered("${u8:after}${crc32:before}", hexed=True)
    assert sent == b"\x04" + CHECKSUMS["crc32"].of(b"\x04").to_bytes(4, "big")


def test_random_answers() -> None:
    assert 1 <= int(rendered("${random:1:100}")) <= 100
    assert rendered("${random:-5:-5}") == b"-5"
    assert re.fullmatch(rb"[0-9a-f]{7}", rendered("${random-hex:7}"))
    assert len(rendered("${random-bytes:4}")) == 4


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("${", "has no end"),
        ("${a{b}", "has no end"),
        ("${}", "is no variable"),
        ("${random}", "is written"),
        ("${random:5:1}", "is written"),
        ("${random-hex:0}", "is none of"),
        ("${random-words:3}", "is none of"),
        ("${time:now}", "no form of time"),
        ("${time:%H%}", "no form of time"),
        ("${time:%9999Y}", "no form of time"),
        ("${time:%Q}", "nothing that strftime"),
        ("${crc32:message:oct}", "no form of a checksum"),
        ("${crc32:message+1}", "belong to lengths"),
        ("${message+1}", "belong to lengths"),
        ("${before}", "can only be counted or summed"),
        ("${hex:answer}", "can only be counted or summed"),
        ("${len:after}", "how many digits"),
        ("${len:message:x}", "no number of digits"),
        ("${u8:message[1]}", "is no variable"),
        ("${name}", "it names user"),
    ],
)
def test_answers_that_are_none(answer: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(words)):
        text_template(answer, {"user": 1}, 1)
