"""What can never happen is told; and transcripts."""

import pytest
from unit.rules.scripted_client import AT

from portside.wire.frame import Frame
from portside.wire.rules.lint import warnings
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.ruleset import RulesError
from portside.wire.rules.session import CompiledRules
from portside.wire.rules.transcript import SHOWN, read_transcript, result_lines, run_transcript

LINES = Frame("lines")


def warned(*rules: str) -> list[str]:
    book = read_rules("".join(f"[[rule]]\n{rule}\n" for rule in rules), "F")
    return [f"{place.line}: {words}" for place, words in warnings(book)]


def test_states_that_nothing_leads_to() -> None:
    assert not warned("state='a'\non='message'\ngoto='b'", "state='b'\non='message'\ngoto='a'")
    assert warned("state='a'\non='message'\ngoto='b'", "state='b'\non='message'", "state='c'\non='connect'") == [
        "8: nothing leads to the state 'c'"
    ]
    assert warned("state='a'\non='message'\ngoto='b'", "state='b'\non='connect'") == [
        "5: rule 2 never applies: a client that connects is in the state 'a'"
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ("on='message'", "equals='a'", True),
        ("on='message'", "regex='a'", True),
        ("on='message'", "silence=1", False),
        ("equals='a'", "equals='a'", True),
        ("equals='a'", "equals='b'", False),
        ("equals='A'\nignore-case=true", "equals='a'", True),
        ("equals='a'", "equals='a'\nignore-case=true", False),
        ("regex='a'", "regex='a'", True),
        ("regex='a'", "regex='b'", False),
        ("contains='a'", "equals='bab'", True),
        ("contains='a'", "equals='b'", False),
        ("contains='a'", "equals='a'\nignore-case=true", False),
        ("equals='a'\nwhere={0='x'}", "equals='a'", False),
        ("silence=1", "silence=1", False),
        ("on='connect'", "on='connect'", True),
        ("equals='a'", "on='message'", False),
    ],
)
def test_rules_that_another_comes_before(earlier: str, later: str, covered: bool) -> None:
    assert bool(warned(earlier, later)) == covered
    assert not warned(f"state='a'\ngoto='b'\n{earlier}", f"state='b'\n{later}") or "connect" in later


RULES = """
[[rule]]
name = "greeting"
state = "a"
on = "connect"
answer = 'hi\\n'
[[rule]]
equals = "ping"
answer = ['po', { text = 'ng\\n', delay = "1h" }]
[[rule]]
equals = "id"
answer = '${random:1:9}${random:1:9}\\r\\n'
[[rule]]
equals = "bye"
end = "close"
[[rule]]
equals = "no more"
end = "half-close"
answer = 'fin\\n'
[[rule]]
silence = "5s"
answer = 'quiet\\n'
repeat = true
[[rule]]
equals = "wide"
answer = '${message}${random-bytes:300}'
"""


def verdict(transcript: str, rules: str = RULES, frame: Frame = LINES) -> list[str]:
    play = CompiledRules(read_rules(rules, "F"))
    return list(result_lines(run_transcript(play, read_transcript(transcript, "T", frame), frame, 64, AT), "T"))


@pytest.mark.parametrize(
    "transcript",
    [
        "# nothing but this\n< hi\n",
        "< hi\r\n".replace("\r", "") + "> ping\n< pong\n",
        "<< h\n<x 69 0a\n>> pi\n>x 6e 67 0a\n< pong\n",
        "< hi\n> id\n<~ \\d{2}\n",
        "< hi\n> bye\n<! close\n! connect\n< hi\n",
        "< hi\n! close\n<! close\n",
        "< hi\n>> ping\n! close\n< pong\n<! close\n",
        "< hi\n> no more\n< fin\n<! half-close\n> ping\n! close\n<! half-close\n",
        "< hi\n! wait 4s\n! wait 1s\n< quiet\n! wait 10s\n< quiet\n< quiet\n",
        "< hi\n>x 62 79 65 0a 70 69 6e 67 0a\n<! close\n",
        "< hi\n>> bye\n! close\n<! close\n",
        "< hi\n! wait 4s\n>> x\n! wait 4s\n! wait 1s\n< quiet\n",
    ],
)
def test_conversations_as_expected(transcript: str) -> None:
    assert "as expected" in verdict(transcript)[0], verdict(transcript)


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        ("< hi\n> ping\n< pang\n", r"T:3: expected 'pang\n', got 'pong\n'"),
        ("< hi\n> what\n< ?\n", r"T:3: expected '?\n', got nothing"),
        ("> ping\n", r"T:1: the server says 'hi\n', which is not expected"),
        ("< hi\n> ping\n", r"T:2: after it, the server says 'pong\n', which is not expected"),
        ("", r"T:0: after it, the server says 'hi\n'"),
        ("< hi\n> id\n<~ \\d\n", "T:3: expected a line like \\d, got '"),
        ("< hi\n> ping\n<! close\n", "T:3: expected the end (close), and the server says"),
        ("< hi\n<! reset\n", "T:2: expected the end (reset), and there is none"),
        ("< hi\n> bye\n> ping\n", "T:3: the server has ended the conversation (close) before"),
    ],
)
def test_conversations_that_are_otherwise(transcript: str, words: str) -> None:
    first, hint = verdict(transcript)
    assert first.startswith(words)
    assert hint.startswith("hint: the state is 'a'; the last rule that applied is rule ")


def test_what_differs_is_shown_in_part() -> None:
    assert "…" in verdict("< hi\n> wide\n")[0]
    assert len(verdict("< hi\n> wide\n")[0]) < 4 * SHOWN + 100


def test_where_no_rule_applied_that_is_said() -> None:
    assert verdict("> x\n< y\n", "[[rule]]\nequals = 'a'\n")[1] == "hint: the state is 'start'; no rule has applied"


def test_messages_that_end_by_time() -> None:
    rules = "[[rule]]\nequals = 'ab'\nanswer = 'ok'\n"
    assert "as expected" in verdict("> a\n> b\n! wait 1s\n<< ok\n", rules, Frame("idle", 0.02))[0]
    assert "as expected" in verdict("! wait 0\n", rules, Frame("idle", 0.02))[0]
    assert "as expected" in verdict(">> ab\n! wait 1\n! wait 1\n<< ok\n", rules, Frame("idle", 2))[0]
    ends = "[[rule]]\nsilence = 1\nend = 'close'\n"
    assert "as expected" in verdict("! wait 9\n<! close\n", ends)[0]


@pytest.mark.parametrize(
    "line", ["hello", ">x 0", "< a\\q", "<~ (", "! dance", "! wait soon", "<! soon", ">hello", "< " + "\\xzz"]
)
def test_transcripts_that_are_none(line: str) -> None:
    with pytest.raises(RulesError, match=r"^T:2:1: "):
        read_transcript(f"# a\n{line}\n", "T", LINES)
