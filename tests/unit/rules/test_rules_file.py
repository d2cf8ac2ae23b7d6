"""What is wrong with a file of rules is told with its place; what is right means what it says."""

import pytest

from portside.errors import UsageError
from portside.wire.frame import Frame
from portside.wire.rules.inline_rules import read_replies
from portside.wire.rules.rules_file import MOST_RULES, read_rules
from portside.wire.rules.ruleset import RulesError

RULE = "[[rule]]\non = 'message'\n"


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        ("", "1:1", "there is no rule"),
        ("rule = 3\n", "1:1", "a rule begins with [[rule]]"),
        ("rule = [3]\n", "1:1", "a rule begins with [[rule]]"),
        ("[[rule]]\nequals = 'a'\nanswr = 'b'\n", "3:1", "a rule has no 'answr'"),
        ("colour = 1\n" + RULE, "1:1", "the file has no 'colour'"),
        ("[[rule]]\nequals = \n", "2:10", "this is no TOML"),
        ("[[rule]]\nequals = 'a", "2:12", "this is no TOML"),
        ('[[rule]]\nequals = "\\x02"\n', "2:13", "this is no TOML"),
        ("a = " + "[" * 5000, "1:1", "too deeply nested"),
        ("\na = " + "9" * 5000, "2:5", "this number has too many digits"),
        ("[[rule]]\nname = 'x'\n", "1:1", "a rule without a condition"),
        ("[[rule]]\nequals = 'a'\n\nregex = 'b'\n", "4:1", "one condition"),
        ("[[rule]]\nregex = 'a('\n", "2:9", "RE2 does not take it: missing )"),
        ("[[rule]]\nregex = '(?P<peer>a)'\n", "2:9", "cannot be called peer"),
        ("[[rule]]\nregex = '(a{1,100}){1,10}(b{1,100}){1,10}'\n", "2:9", "too large an expression"),
        ("[[rule]]\nregex = '" + "a" * 1001 + "'\n", "2:9", "at most 1000"),
        ("[[rule]]\nregex = '((a{1,1000}){1,1000})'\n", "2:9", "RE2 does not take it"),
        ("[[rule]]\nequals = 'a\\q'\n", "2:10", "is no escape"),
        ("[[rule]]\ncontains = 3\n", "2:12", "contains is a string"),
        ("[[rule]]\non = 'fire'\n", "2:6", "is nothing that happens"),
        ("[[rule]]\nsilence = 'soon'\n", "2:11", "is no duration"),
        ("[[rule]]\nsilence = 0x" + "f" * 5000, "2:11", "at most 24h"),
        (RULE + "delay = 0x" + "f" * 5000, "3:9", "at most 24h"),
        ("[[rule]]\nsilence = true\n", "2:11", "write a duration"),
        ("[[rule]]\nsilence = '25h'\n", "2:11", "at most 24h"),
        ("[[rule]]\nsilence = 0\n", "2:11", "at least 1ms"),
        (RULE + "ignore-case = true\n", "3:1", "ignore-case goes with"),
        (RULE + "ignore-case = 1\n", "3:15", "write true or false"),
        (RULE + "repeat = true\n", "3:1", "repeat goes with silence"),
        (RULE + "end = 'soon'\n", "3:7", "is no end"),
        (RULE + "goto = 'there'\n", "3:8", "no rule belongs to the state 'there'"),
        ("start = 'there'\n" + RULE + "state = 'here'\n", "1:9", "no rule belongs to the state 'there'"),
        (RULE + "state = ['a', 3]\n", "3:15", "a state is a string"),
        ("frame = 'words'\n" + RULE, "1:9", "'words' is no way to frame: write none"),
        (RULE + "answer = 3\n", "3:10", "an answer is a string"),
        (RULE + "answer = { text = 'a', hex = '06' }\n", "3:10", "either text or hex"),
        (RULE + "answer = { text = 'a', wait = 3 }\n", "3:24", "an answer has no 'wait'"),
        (RULE + "answer = ['a', { hex = '0' }]\n", "3:24", "no hex: '0'"),
        (RULE + "answer = '${1}'\n", "3:10", "there is no group 1"),
        (RULE + "answer = '${who}'\n", "3:10", "'who' is no variable"),
        (RULE + "answer = '${crc32}'\n", "3:10", "'crc32' is no variable"),
        (RULE + "where = 'x'\n", "3:9", "where is a table"),
        (RULE + "where = { a = 'x' }\n", "3:11", "has no group 'a'"),
        (RULE + "where.0 = 'x${'\n", "3:11", "has no end"),
        (RULE * (MOST_RULES + 1), f"{2 * MOST_RULES + 1}:1", "more than 10000 rules"),
        ("[[rule]]\nhex = 'de zz'\n", "2:7", "no hex at 'zz'"),
        ("[[rule]]\nhex = '((01))'\n", "2:7", "parentheses in parentheses"),
        ("[[rule]]\nhex = '01)'\n", "2:7", "a ) without its ("),
        ("[[rule]]\nhex = '(01'\n", "2:7", "a ( without its )"),
        ("[[rule]]\nhex = ''\n", "2:7", "there is no hex"),
    ],
)
def test_an_error_is_told_with_its_place(document: str, place: str, words: str) -> None:
    with pytest.raises(RulesError) as told:
        read_rules(document, "F")
    assert told.value.what == f"F:{place}"
    assert words in told.value.why
    assert "\n" not in str(told.value)


def test_all_errors_are_told_at_once_in_the_order_of_the_file() -> None:
    document = "[[rule]]\nequls = 'a'\nansver = 1\n[[rule]]\nregex = '('\n[[rule]]\nequals = 'x'\nend = 'foo'\n"
    with pytest.raises(RulesError) as told:
        read_rules(document, "F")
    found = [told.value, *told.value.others]
    assert [error.what for error in found] == ["F:2:1", "F:3:1", "F:5:9", "F:8:7"]
    assert found[0].hint == "did you mean equals?"
    assert found[1].hint == "did you mean answer?"


def test_a_key_of_another_tool_is_told_by_its_name_here() -> None:
    with pytest.raises(RulesError) as told:
        read_rules("[[rule]]\nmatch = 'a'\nreply = 'x'\n[[rule]]\nequals = 'a'\nanswer = { wait = 1 }\n", "F")
    hints = [error.hint for error in (told.value, *told.value.others)]
    assert hints == ["did you mean regex?", "did you mean answer?", "did you mean delay?"]


def test_states_that_no_rule_belongs_to_are_all_told() -> None:
    with pytest.raises(RulesError) as told:
        read_rules("start = 'x'\n[[rule]]\nequals = 'a'\nstate = 'y'\ngoto = 'z'\n", "F")
    assert [error.what for error in (told.value, *told.value.others)] == ["F:1:9"]


def test_a_carriage_return_before_the_line_feed_moves_no_place() -> None:
    with pytest.raises(RulesError, match=r"F:3:1: a rule has no 'b'"):
        read_rules("[[rule]]\r\nequals = 'a'\r\nb = 1\r\n", "F")


def test_what_a_file_says() -> None:
    book = read_rules(
        "frame = 'delim:03'\n"
        "[[rule]]\nstate = 'a'\nequals = 'x'\ndelay = '1s'\nend = 'reset'\n"
        "[[rule]]\nstate = ['b', 'a']\nsilence = 2.5\nrepeat = true\ngoto = 'b'\nname = 'n'\n"
        "answer = ['x', { hex = '06', delay = 2 }]\n",
        "F",
    )
    assert book.frame == Frame("delim", b"\x03")
    assert (book.start, book.states, book.source) == ("a", ("a", "b"), "F")
    first, second = book.rules
    assert (first.when, first.text, first.end, first.answers[0].delay) == ("equals", b"x", "reset", 1.0)
    assert (second.silence, second.repeat, second.goto, str(second)) == (2.5, True, "b", "rule 2 (n)")
    assert [(each.template.constant, each.delay) for each in second.answers] == [(b"x", 0.0), (b"\x06", 2.0)]
    assert str(first) == "rule 1"
    assert book.of_state("b") == [second]
    assert not first.is_immediate
    assert not second.is_immediate


def test_without_states_there_is_one() -> None:
    book = read_rules(RULE, "F")
    assert (book.start, book.states) == ("start", ("start",))
    assert book.rules[0].is_immediate
    assert read_rules("start = 'here'\n" + RULE, "F").states == ("here",)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("PING", "PATTERN => ANSWER"),
        ("/a(/ => b", "RE2 does not take it"),
        ("a => ${1}", "there is no group 1"),
        ("a => hex:0", "no hex"),
        ("hex:zz => a", "no hex at"),
        ("a\\q => b", "is no escape"),
    ],
)
def test_a_reply_that_is_none(written: str, words: str) -> None:
    with pytest.raises(UsageError, match="--reply") as told:
        read_replies([written])
    assert words in told.value.why
