"""Conversations: which rule applies, states, silences, other rules meanwhile."""

import math

import pytest
from unit.rules.scripted_client import ScriptedClient

from portside.wire.frame import Frame
from portside.wire.rules import matching
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.session import CompiledRules


def rule(condition: str, answer: str, more: str = "") -> str:
    return f"[[rule]]\n{condition}\nanswer = '{answer}'\n{more}\n"


def test_the_first_rule_that_applies_does() -> None:
    client = ScriptedClient(
        rule("equals = 'a'", "1")
        + rule("regex = '^b(.)'", "2${1}")
        + rule("equals = 'bx'", "3")
        + rule("contains = 'é'", "4")
        + rule("regex = 'B'", "5", "ignore-case = true")
        + rule("equals = 'Quit'", "6", "ignore-case = true")
        + rule("on = 'message'", "7")
        + rule("equals = 'late'", "8")
    )
    said = [client.say(each) for each in (b"a", b"bx", "né".encode(), b"xb", b"qUIT", b"late", b"\xff\0")]
    assert said == [b"1", b"2x", b"4", b"5", b"6", b"7", b"7"]


def test_a_message_that_meets_nothing_gets_nothing() -> None:
    client = ScriptedClient(rule("equals = 'a'", "1") + rule("regex = 'b'", "2") + rule("contains = 'c'", "3"))
    assert client.say(b"x") is None
    assert ScriptedClient(rule("equals = 'a'", "1")).say(b"x") is None
    assert client.session.count == 1


@pytest.mark.parametrize(
    ("pattern", "message", "groups"),
    [
        ("de ?? be*", "deadbeef", "ad ef"),
        ("de??be", "deadbeef", None),
        ("02 ???? 03", "020a0b03", "0a0b"),
        ("?? * ff", "0102ff", "01 02"),
        ("d? ?e", "deae", ""),
        ("d? ?e", "eeae", None),
        ("02 (length: ??) (* 03)", "0205414203", "05 414203"),
        ("02 (??) ??", "020506", "05 06"),
    ],
)
def test_hex_with_wildcards(pattern: str, message: str, groups: str | None) -> None:
    client = ScriptedClient(rule(f"hex = '{pattern}'", "x"))
    turn = client.session.on_message(bytes.fromhex(message), 0.0)
    if groups is None:
        assert turn is None
    else:
        assert turn is not None
        answer = " ".join(f"${{hex:{index + 1}}}" for index in range(len(groups.split())))
        assert ScriptedClient(rule(f"hex = '{pattern}'", answer)).say(bytes.fromhex(message)) == groups.encode()


def test_a_group_that_met_nothing_is_empty() -> None:
    assert ScriptedClient(rule("regex = '^(a)?b(?P<n>c)?'", "<${1}${n}>")).say(b"b") == b"<>"


def test_replies() -> None:
    client = ScriptedClient.replying(
        r"PING => PONG\n",
        "add * * => ${2} ${1}",
        "/^x(\\d+)$/i => ${1}",
        "hex:02 * => hex:06 ${1}",
        "a/b => =>",
        "* => ?",
    )
    said = [client.say(each) for each in (b"PING", b"add 3 4", b"X12", b"\x02ab", b"a/b", b"zz")]
    assert said == [b"PONG\n", b"4 3", b"12", b"\x06ab", b"=>", b"?"]


def test_a_condition_on_a_group() -> None:
    client = ScriptedClient(
        rule("regex = '^(?P<data>.*)[*](?P<sum>..)$'", "ok", "where = { sum = '${xor8:data:HEX}' }")
        + rule("equals = 'same'", "no", "where = { 0 = 'other' }")
        + rule("contains = 'am'", "no", "where = { 0 = 'other' }")
        + rule("equals = 'same'", "${count}", "where = { 0 = 'same' }")
        + rule("regex = '[*]'", "bad")
    )
    assert [client.say(each) for each in (b"ab*03", b"ab*04", b"same")] == [b"ok", b"bad", b"3"]


def test_a_condition_on_a_text_alone() -> None:
    client = ScriptedClient(rule("equals = 'a'", "1", "where = { 0 = '${state}' }") + rule("equals = 'b'", "2"))
    assert [client.say(each) for each in (b"a", b"b")] == [None, b"2"]


def test_without_room_for_a_set_each_expression_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory in (1, 3000):  # too little to make it, and to use it
        monkeypatch.setattr(matching, "SET_MEMORY_BYTES", memory)
        client = ScriptedClient(rule("regex = '^a(.)'", "${1}") + rule("contains = 'b'", "2"))
        assert [client.say(each) for each in (b"ax", b"xb", b"x")] == [b"x", b"2", None]


def test_states() -> None:
    client = ScriptedClient(
        rule("on = 'connect'", "hi", "state = 'greeting'\ngoto = 'login'")
        + rule("equals = 'go'", "${state}", "state = 'login'\ngoto = 'data'")
        + rule("equals = 'go'", "again", "state = 'data'")
        + rule("on = 'half-close'", "bye")
    )
    assert client.answer(client.session.on_connect(0.0)) == b"hi"
    assert client.session.state == "login"
    assert [client.say(b"go"), client.say(b"go")] == [b"login", b"again"]
    assert client.answer(client.session.on_half_close(0.0)) == b"bye"
    assert client.session.on_connect(0.0) is None


def test_silences() -> None:
    client = ScriptedClient(
        rule("silence = 5", "still there?", "state = 'a'")
        + rule("silence = 2", "ping", "state = 'a'\nrepeat = true")
        + rule("silence = 3", "late", "state = 'b'\ngoto = 'a'")
        + rule("equals = 'b'", "", "state = 'a'\ngoto = 'b'")
    )
    session = client.session
    assert (session.deadline, session.on_silence(1.9)) == (2.0, None)
    assert [client.answer(session.on_silence(at)) for at in (2.0, 4.0)] == [b"ping", b"ping"]
    assert session.deadline == 5.0
    assert client.answer(session.on_silence(5.0)) == b"still there?"
    assert client.answer(session.on_silence(6.0)) == b"ping"
    session.on_received(7.0)
    assert session.deadline == 9.0
    session.on_message(b"b", 7.5)
    assert session.deadline == 10.5
    assert client.answer(session.on_silence(10.5)) == b"late"
    assert (session.state, session.deadline) == ("a", 12.5)


def test_where_no_silence_is_waited_for_nothing_is_due() -> None:
    session = ScriptedClient(rule("on = 'message'", "x")).session
    assert session.deadline == math.inf
    assert session.on_silence(9.0) is None
    once = ScriptedClient(rule("silence = 1", "x")).session
    assert once.on_silence(1.0) is not None
    assert once.deadline == math.inf


def test_other_rules_keep_a_state_that_is_still_there() -> None:
    first = rule("equals = 'go'", "", "state = 'a'\ngoto = 'b'") + rule("on = 'message'", "old", "state = 'b'")
    client = ScriptedClient(first)
    client.say(b"go")
    client.session.swap_rules(CompiledRules(read_rules(first.replace("old", "new"), "F")), 5.0)
    assert (client.session.state, client.say(b"x"), client.session.count) == ("b", b"new", 2)
    client.session.swap_rules(CompiledRules(read_rules(rule("silence = 1", "", "state = 'c'"), "F")), 8.0)
    assert (client.session.state, client.session.deadline) == ("c", 9.0)


def test_messages_are_heard_without_their_ends() -> None:
    lines = MessageReader(Frame("lines"), 8)
    assert lines.feed(b"a\n", 0.0) == [b"a"]
    assert lines.feed(b"a\r\n", 0.0) == [b"a"]
    assert lines.feed(b"b\r\nc\nd", 0.0) == [b"b", b"c"]
    assert lines.feed(b"e\n", 0.0) == [b"de"]
    assert lines.feed(b"x", 0.0) + lines.finish() == [b"x"]
    assert (lines.deadline, lines.expire(9.0)) == (None, [])
    assert MessageReader(Frame("delim", b"\x03"), 8).feed(b"a\x03b\n\x03", 0.0) == [b"a", b"b\n"]
    assert MessageReader(Frame("none"), 8).feed(b"a\n", 0.0) == [b"a\n"]


def test_a_message_that_is_too_long_is_not_heard() -> None:
    lines = MessageReader(Frame("lines"), 4)
    assert lines.feed(b"abcdefgh\nab\n", 0.0) == [b"ab"]
    assert lines.feed(b"abcdef", 0.0) == []
    assert lines.feed(b"gh\n", 0.0) == []
    assert lines.feed(b"ok\n", 0.0) == [b"ok"]
