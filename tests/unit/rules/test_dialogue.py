"""Conversations: which rule applies, states, silences, other rules meanwhile."""

import math

import pytest
from unit.rules.playing import Talk

from portside.wire.frame import Frame
from portside.wire.rules import matching
from portside.wire.rules.dialogue import Play
from portside.wire.rules.hearing import Hearing
from portside.wire.rules.read import read_rules


def rule(condition: str, answer: str, more: str = "") -> str:
    return f"[[rule]]\n{condition}\nanswer = '{answer}'\n{more}\n"


def test_the_first_rule_that_applies_does() -> None:
    talk = Talk(
        rule("equals = 'a'", "1")
        + rule("regex = '^b(.)'", "2${1}")
        + rule("equals = 'bx'", "3")
        + rule("contains = 'é'", "4")
        + rule("regex = 'B'", "5", "ignore-case = true")
        + rule("equals = 'Quit'", "6", "ignore-case = true")
        + rule("on = 'message'", "7")
        + rule("equals = 'late'", "8")
    )
    said = [talk.say(each) for each in (b"a", b"bx", "né".encode(), b"xb", b"qUIT", b"late", b"\xff\0")]
    assert said == [b"1", b"2x", b"4", b"5", b"6", b"7", b"7"]


def test_a_message_that_meets_nothing_gets_nothing() -> None:
    talk = Talk(rule("equals = 'a'", "1") + rule("regex = 'b'", "2") + rule("contains = 'c'", "3"))
    assert talk.say(b"x") is None
    assert Talk(rule("equals = 'a'", "1")).say(b"x") is None
    assert talk.dialogue.count == 1


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
    talk = Talk(rule(f"hex = '{pattern}'", "x"))
    turn = talk.dialogue.message(bytes.fromhex(message), 0.0)
    if groups is None:
        assert turn is None
    else:
        assert turn is not None
        answer = " ".join(f"${{hex:{index + 1}}}" for index in range(len(groups.split())))
        assert Talk(rule(f"hex = '{pattern}'", answer)).say(bytes.fromhex(message)) == groups.encode()


def test_a_group_that_met_nothing_is_empty() -> None:
    assert Talk(rule("regex = '^(a)?b(?P<n>c)?'", "<${1}${n}>")).say(b"b") == b"<>"


def test_replies() -> None:
    talk = Talk.replying(
        r"PING => PONG\n",
        "add * * => ${2} ${1}",
        "/^x(\\d+)$/i => ${1}",
        "hex:02 * => hex:06 ${1}",
        "a/b => =>",
        "* => ?",
    )
    said = [talk.say(each) for each in (b"PING", b"add 3 4", b"X12", b"\x02ab", b"a/b", b"zz")]
    assert said == [b"PONG\n", b"4 3", b"12", b"\x06ab", b"=>", b"?"]


def test_a_condition_on_a_group() -> None:
    talk = Talk(
        rule("regex = '^(?P<data>.*)[*](?P<sum>..)$'", "ok", "where = { sum = '${xor8:data:HEX}' }")
        + rule("equals = 'same'", "no", "where = { 0 = 'other' }")
        + rule("contains = 'am'", "no", "where = { 0 = 'other' }")
        + rule("equals = 'same'", "${count}", "where = { 0 = 'same' }")
        + rule("regex = '[*]'", "bad")
    )
    assert [talk.say(each) for each in (b"ab*03", b"ab*04", b"same")] == [b"ok", b"bad", b"3"]


def test_a_condition_on_a_text_alone() -> None:
    talk = Talk(rule("equals = 'a'", "1", "where = { 0 = '${state}' }") + rule("equals = 'b'", "2"))
    assert [talk.say(each) for each in (b"a", b"b")] == [None, b"2"]


def test_without_room_for_a_set_each_expression_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory in (1, 3000):  # too little to make it, and to use it
        monkeypatch.setattr(matching, "SET_MEMORY_BYTES", memory)
        talk = Talk(rule("regex = '^a(.)'", "${1}") + rule("contains = 'b'", "2"))
        assert [talk.say(each) for each in (b"ax", b"xb", b"x")] == [b"x", b"2", None]


def test_states() -> None:
    talk = Talk(
        rule("on = 'connect'", "hi", "state = 'greeting'\ngoto = 'login'")
        + rule("equals = 'go'", "${state}", "state = 'login'\ngoto = 'data'")
        + rule("equals = 'go'", "again", "state = 'data'")
        + rule("on = 'half-close'", "bye")
    )
    assert talk.answer(talk.dialogue.connected(0.0)) == b"hi"
    assert talk.dialogue.state == "login"
    assert [talk.say(b"go"), talk.say(b"go")] == [b"login", b"again"]
    assert talk.answer(talk.dialogue.half_closed(0.0)) == b"bye"
    assert talk.dialogue.connected(0.0) is None


def test_silences() -> None:
    talk = Talk(
        rule("silence = 5", "still there?", "state = 'a'")
        + rule("silence = 2", "ping", "state = 'a'\nrepeat = true")
        + rule("silence = 3", "late", "state = 'b'\ngoto = 'a'")
        + rule("equals = 'b'", "", "state = 'a'\ngoto = 'b'")
    )
    dialogue = talk.dialogue
    assert (dialogue.due, dialogue.silent(1.9)) == (2.0, None)
    assert [talk.answer(dialogue.silent(at)) for at in (2.0, 4.0)] == [b"ping", b"ping"]
    assert dialogue.due == 5.0
    assert talk.answer(dialogue.silent(5.0)) == b"still there?"
    assert talk.answer(dialogue.silent(6.0)) == b"ping"
    dialogue.heard(7.0)
    assert dialogue.due == 9.0
    dialogue.message(b"b", 7.5)
    assert dialogue.due == 10.5
    assert talk.answer(dialogue.silent(10.5)) == b"late"
    assert (dialogue.state, dialogue.due) == ("a", 12.5)


def test_where_no_silence_is_waited_for_nothing_is_due() -> None:
    dialogue = Talk(rule("on = 'message'", "x")).dialogue
    assert dialogue.due == math.inf
    assert dialogue.silent(9.0) is None
    once = Talk(rule("silence = 1", "x")).dialogue
    assert once.silent(1.0) is not None
    assert once.due == math.inf


def test_other_rules_keep_a_state_that_is_still_there() -> None:
    first = rule("equals = 'go'", "", "state = 'a'\ngoto = 'b'") + rule("on = 'message'", "old", "state = 'b'")
    talk = Talk(first)
    talk.say(b"go")
    talk.dialogue.take_over(Play(read_rules(first.replace("old", "new"), "F")), 5.0)
    assert (talk.dialogue.state, talk.say(b"x"), talk.dialogue.count) == ("b", b"new", 2)
    talk.dialogue.take_over(Play(read_rules(rule("silence = 1", "", "state = 'c'"), "F")), 8.0)
    assert (talk.dialogue.state, talk.dialogue.due) == ("c", 9.0)


def test_messages_are_heard_without_their_ends() -> None:
    lines = Hearing(Frame("lines"), 8)
    assert lines.feed(b"a\n", 0.0) == [b"a"]
    assert lines.feed(b"a\r\n", 0.0) == [b"a"]
    assert lines.feed(b"b\r\nc\nd", 0.0) == [b"b", b"c"]
    assert lines.feed(b"e\n", 0.0) == [b"de"]
    assert lines.feed(b"x", 0.0) + lines.finish() == [b"x"]
    assert (lines.due, lines.expire(9.0)) == (None, [])
    assert Hearing(Frame("delim", b"\x03"), 8).feed(b"a\x03b\n\x03", 0.0) == [b"a", b"b\n"]
    assert Hearing(Frame("none"), 8).feed(b"a\n", 0.0) == [b"a\n"]


def test_a_message_that_is_too_long_is_not_heard() -> None:
    lines = Hearing(Frame("lines"), 4)
    assert lines.feed(b"abcdefgh\nab\n", 0.0) == [b"ab"]
    assert lines.feed(b"abcdef", 0.0) == []
    assert lines.feed(b"gh\n", 0.0) == []
    assert lines.feed(b"ok\n", 0.0) == [b"ok"]
