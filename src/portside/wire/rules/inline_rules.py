"""``--reply 'PATTERN => ANSWER'``: a rule in one line."""

from collections.abc import Sequence

from portside.errors import InvalidValue, UsageError
from portside.units import parse_text
from portside.wire.rules.patterns import Pattern, hexadecimal, regex, wildcards
from portside.wire.rules.rules_file import FIRST_STATE
from portside.wire.rules.ruleset import Answer, Rule, RuleSet
from portside.wire.rules.template import hex_template, text_template
from portside.wire.rules.toml_positions import Position


def read_replies(written: Sequence[str]) -> RuleSet:
    """The rule set of some ``--reply`` options, in their order. Raises UsageError."""
    rules = []
    for number, each in enumerate(written, 1):
        try:
            rules.append(_read(each, number))
        except InvalidValue as problem:
            raise UsageError(f"--reply {each!r}", str(problem), "see `portside help rules`") from None
    return RuleSet(rules=rules, start=FIRST_STATE, states=(FIRST_STATE,), source="--reply")


def _read(written: str, number: int) -> Rule:
    pattern, arrow, answer = written.partition("=>")
    if not arrow:
        raise InvalidValue("it is written 'PATTERN => ANSWER'")
    pattern, answer = pattern.strip(" "), answer.lstrip(" ")
    text, found = _condition(pattern)
    groups, most = (found.names, found.groups) if found is not None else ({}, 0)
    if answer.startswith("hex:"):
        template = hex_template(answer[4:], groups, most)
    else:
        template = text_template(answer, groups, most)
    return Rule(
        number=number,
        name=pattern,
        position=Position(number, 1),
        when="equals" if found is None else "pattern",
        text=text,
        pattern=found,
        answers=(Answer(template),),
    )


def _condition(pattern: str) -> tuple[bytes, Pattern | None]:
    """``hex:DE ??``, ``/regex/`` or ``/regex/i``, text with ``*`` for anything, or text."""
    if pattern.startswith("hex:"):
        return b"", hexadecimal(pattern[4:])
    body, slash, flag = pattern[1:].rpartition("/")
    if pattern.startswith("/") and slash and flag in ("", "i"):
        return b"", regex(body, ignore_case=flag == "i")
    parts = [parse_text(part) for part in pattern.split("*")]
    return (parts[0], None) if len(parts) == 1 else (b"", wildcards(parts))
