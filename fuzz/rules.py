"""Rules that answer clients: files, ``--reply`` options and transcripts with mistakes, and what clients may send.

Rules that are read are linted, and answer the messages of a client.
"""

import random
from pathlib import Path
from typing import NamedTuple

from fuzz._mutations import mutate, mutate_text
from portside.errors import UsageError
from portside.wire.frame import Frame
from portside.wire.rules.inline_rules import read_replies
from portside.wire.rules.lint import reachable, warnings
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.ruleset import RuleSet
from portside.wire.rules.session import Action, Client, CompiledRules, Session
from portside.wire.rules.transcript import read_transcript, result_lines, run_transcript

_EXAMPLES = Path(__file__).parent.parent / "examples"
_TRANSCRIPT = (_EXAMPLES / "device.transcript").read_text(encoding="utf-8")
_DOCUMENTS = (
    (_EXAMPLES / "device.toml").read_text(encoding="utf-8"),
    "[[rule]]\nhex = '02 ?? 6* *'\nanswer = { hex = '${1:u16be} ${crc32:before}' }\nrepeat = 2\nend = 'reset'\n",
    "[[rule]]\ncontains = 'a'\nignore-case = true\nanswer = ['${peer} ${time:%H}', '${random:4}', '${message}']\n",
)
_REPLIES = (
    "PING => PONG\\n", "add * * => ${2} and ${1}\\n", "/^(a+)(b)?$/i => ${1} ${2}", "hex:DE ?? 0* => hex:${u8:after}",
    "* => ${count} ${conn} ${state} ${iso}", "x => ${sum8:before:HEX}${dec:message}",
)  # fmt: skip
_SAID = (
    b"PING",
    b"add 1 2",
    b"aab",
    b"\xde\xad\x01",
    b"LOGIN ada secret",
    b"DATA 21.5*18",
    b"BLOCK",
    b"QUIT",
    b"",
    b"a" * 999,
)
_AT = 1_793_361_601_123_456_000  # 2026-10-30T12:00:01.123456Z
_MOST_ANSWERED = 1 << 20  # bytes of one answer: templates have limits


class Play(NamedTuple):
    """Rules as a document or as ``--reply`` options, a transcript, and what a client says."""

    rules: str | tuple[str, ...]
    transcript: str
    said: tuple[bytes, ...]


def make_input(chance: random.Random) -> Play:
    """Rules and a transcript that may have mistakes."""
    if chance.random() < 0.5:
        written: str | tuple[str, ...] = _of_file(mutate_text(chance.choice(_DOCUMENTS), chance))
    else:
        written = tuple(mutate_text(chance.choice(_REPLIES), chance) for _ in range(chance.randint(1, 3)))
    said = tuple(mutate(chance.choice(_SAID), chance) for _ in range(chance.randint(0, 6)))
    return Play(written, _of_file(mutate_text(_TRANSCRIPT, chance)), said)


def _of_file(text: str) -> str:
    """Text as it comes out of a file, which has to be UTF-8; options may have other bytes, as surrogates."""
    return text.encode("utf-8", "ignore").decode()


def accepts(value: Play) -> bool:
    """Read the rules, converse, and play the transcript."""
    try:
        rule_set = read_replies(value.rules) if isinstance(value.rules, tuple) else read_rules(value.rules, "F")
        rules = CompiledRules(rule_set)
    except UsageError:
        return False
    _lint(rule_set)
    _converse(rules, value.said)
    try:
        steps = read_transcript(value.transcript, "T", Frame("lines"))
    except UsageError:
        return True
    for line in result_lines(run_transcript(rules, steps, Frame("lines"), 65536, _AT), "T"):
        line.encode()
    return True


def _lint(rule_set: RuleSet) -> None:
    assert reachable(rule_set) <= set(rule_set.states)
    for position, text in warnings(rule_set):
        assert position.line > 0
        assert text


def _converse(rules: CompiledRules, said: tuple[bytes, ...]) -> None:
    session = Session(rules, Client("192.0.2.1:5", "192.0.2.2:6", 7), random.Random(1), 0.0)
    _answer(session.on_connect(0.0))
    for now, message in enumerate(said, 1):
        session.on_received(now)
        _answer(session.on_message(message, now))
        if session.deadline <= now:
            _answer(session.on_silence(now))
    _answer(session.on_half_close(len(said) + 1.0))


def _answer(action: Action | None) -> None:
    if action is not None:
        for answer in action.rule.answers:
            assert len(action.render(answer, _AT)) <= _MOST_ANSWERED
