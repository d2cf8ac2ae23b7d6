"""A file of rules (TOML), read and checked completely: a server starts with rules that can all be used, or not at all.

Errors read ``FILE:LINE:COLUMN: what``. tomllib finds errors of TOML itself; unknown keys, wrong expressions and states
without rules are found here, and ``toml_positions`` has their positions.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Any, NoReturn, TypeVar

from portside.errors import InvalidValue
from portside.nearest import nearest
from portside.units import parse_duration, parse_positive_duration, parse_text
from portside.wire.frame import Frame, parse_frame
from portside.wire.rules.patterns import Pattern, containing, hexadecimal, regex
from portside.wire.rules.ruleset import ENDS, Answer, Rule, RulesError, RuleSet, When
from portside.wire.rules.template import NAMES, Template, hex_template, text_template
from portside.wire.rules.toml_positions import Path, Position, find_positions

_SYNONYMS = {
    **dict.fromkeys(("reply", "response", "send", "say"), "answer"),
    **dict.fromkeys(("match", "matches", "pattern", "re"), "regex"),
    **dict.fromkeys(("next", "then"), "goto"),
    **dict.fromkeys(("close", "reset"), "end"),
    **dict.fromkeys(("timeout", "idle"), "silence"),
    "wait": "delay",
    "event": "on",
}
Value = TypeVar("Value")

MOST_RULES = 10_000
LONGEST_S = 24 * 3600.0  # the longest delay or silence
FIRST_STATE = "start"  # where no rule names one

_CONDITIONS = ("equals", "contains", "regex", "hex", "on", "silence")
_KEYS = (*_CONDITIONS, "name", "state", "ignore-case", "repeat", "where", "answer", "delay", "end", "goto")
_ON: dict[str, When] = {"connect": "connect", "message": "message", "half-close": "half-close"}
_MANY_DIGITS = re.compile("[0-9][0-9_]{999,}")
_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_HINT = "see `portside help rules`"


def read_rules(document: str, name: str) -> RuleSet:
    """The rule set of a document; ``name`` is the name of its file, for messages. Raises RulesError."""
    try:
        values = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        raise _toml_error(error, document, name) from None
    except RecursionError:
        raise RulesError(f"{name}:1:1", "too deeply nested", _HINT) from None
    except ValueError:  # Python converts no more digits than sys.get_int_max_str_digits()
        line, column = _position_of(_MANY_DIGITS, document)
        raise RulesError(f"{name}:{line}:{column}", "this number has too many digits", _HINT) from None
    return _DocumentReader(values, find_positions(document.replace("\r\n", " \n")), name).rule_set()


def _position_of(pattern: re.Pattern[str], document: str) -> tuple[int, int]:
    """Line and column of the first match, or of the beginning."""
    found = pattern.search(document)
    before = document[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _toml_error(error: tomllib.TOMLDecodeError, document: str, name: str) -> RulesError:
    found = _SYNTAX.fullmatch(str(error))
    words = (found[1] if found else str(error)).replace("\n", "\\n")
    lines = document.split("\n")
    line, column = (found[2], found[3]) if found and found[2] else (len(lines), len(lines[-1]) + 1)
    hint = "in single quotes a backslash is one: '\\x02'" if "'\\\\'" in words or "escape" in words.lower() else None
    return RulesError(f"{name}:{line}:{column}", f"this is no TOML: {words}", hint)


class _WrongRuleError(Exception):
    """A rule, or the document, cannot be read further; the error is noted."""


class _DocumentReader:
    def __init__(self, values: dict[str, Any], positions: dict[Path, tuple[Position, Position]], name: str) -> None:
        self._values = values
        self._positions = positions
        self._name = name
        self._errors: list[tuple[Position, RulesError]] = []

    # Errors: one ends the reading of its rule, and the other rules are read all the same.

    def _raise_errors(self) -> None:
        """Raise the first error in the file, with the others, if there is any."""
        if self._errors:
            first, *others = (error for _, error in sorted(self._errors, key=itemgetter(0)))
            first.others = tuple(others)
            raise first

    def _fail(self, path: Path, words: str, hint: str | None = None, *, key: bool = False) -> NoReturn:
        self._note(path, words, hint, key=key)
        raise _WrongRuleError

    def _note(self, path: Path, words: str, hint: str | None, *, key: bool) -> None:
        position = self._positions.get(path, (Position(1, 1), Position(1, 1)))[0 if key else 1]
        error = RulesError(f"{self._name}:{position.line}:{position.column}", words, hint)
        self._errors.append((position, error))

    def _read(self, path: Path, read: Callable[[str], Value], text: str) -> Value:
        try:
            return read(text)
        except InvalidValue as problem:
            self._fail(path, str(problem))

    def _only(self, path: Path, table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
        unknown = [key for key in table if key not in known]
        for key in unknown:
            near = nearest(key, known, _SYNONYMS)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            self._note((*path, key), f"{what} has no {key!r}", hint, key=True)
        if unknown:
            raise _WrongRuleError

    def _string(self, path: Path, value: object, what: str) -> str:
        if not isinstance(value, str):
            self._fail(path, f"{what} is a string, in quotes")
        return value

    def _boolean(self, path: Path, value: object) -> bool:
        if not isinstance(value, bool):
            self._fail(path, "write true or false")
        return value

    def _duration(self, path: Path, value: object, *, positive: bool = False) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._fail(path, 'write a duration: "500ms", "5s", or seconds')
        if isinstance(value, int) and abs(value) > LONGEST_S:  # it may have too many digits for text
            self._fail(path, "at most 24h")
        seconds = self._read(path, parse_positive_duration if positive else parse_duration, str(value))
        if seconds > LONGEST_S:
            self._fail(path, "at most 24h")
        return seconds

    # The document.

    def rule_set(self) -> RuleSet:
        """The rules. Raises RulesError, for the first error, which has the others."""
        with suppress(_WrongRuleError):
            rule_set = self._rule_set()
        self._raise_errors()
        return rule_set

    def _rule_set(self) -> RuleSet:
        values = self._values
        self._only((), values, ("frame", "start", "rule"), "the file")
        rules = values.get("rule", [])
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            self._fail(("rule",), "a rule begins with [[rule]]", key=True)
        if not rules:
            self._fail((), "there is no rule", "a rule begins with [[rule]]")
        if len(rules) > MOST_RULES:
            self._fail(("rule", MOST_RULES), f"more than {MOST_RULES} rules")
        frame: Frame | None = None
        if "frame" in values:
            frame = self._read(("frame",), parse_frame, self._string(("frame",), values["frame"], "frame"))
        made = []
        for index, rule in enumerate(rules):
            with suppress(_WrongRuleError):
                made.append(self._rule(("rule", index), rule, index + 1))
        self._raise_errors()
        named = [state for rule in made for state in rule.states]
        start = self._string(("start",), values.get("start", named[0] if named else FIRST_STATE), "start")
        states = tuple(dict.fromkeys(named or [start]))
        if start not in states:
            self._unknown_state(("start",), start, states)
        for index, rule in enumerate(made):
            if rule.goto is not None and rule.goto not in states:
                with suppress(_WrongRuleError):
                    self._unknown_state(("rule", index, "goto"), rule.goto, states)
        return RuleSet(rules=made, start=start, states=states, frame=frame, source=self._name)

    def _unknown_state(self, path: Path, state: str, states: tuple[str, ...]) -> NoReturn:
        known = ", ".join(states[:20])
        self._fail(
            path, f"no rule belongs to the state {state!r}", f"rules belong to {known}; state = {state!r} adds one"
        )

    # A rule.

    def _rule(self, path: Path, rule: dict[str, Any], number: int) -> Rule:
        self._only(path, rule, _KEYS, "a rule")
        conditions = [key for key in rule if key in _CONDITIONS]
        if not conditions:
            self._fail(path, "a rule without a condition", f"write one of {', '.join(_CONDITIONS)}", key=True)
        if len(conditions) > 1:
            first, second = conditions[:2]
            self._fail((*path, second), f"a rule has one condition, and this one has {first}", key=True)
        (condition,) = conditions
        ignore_case = self._boolean((*path, "ignore-case"), rule.get("ignore-case", False))
        if ignore_case and condition not in ("equals", "contains", "regex"):
            self._fail((*path, "ignore-case"), "ignore-case goes with equals, contains and regex", key=True)
        repeat = self._boolean((*path, "repeat"), rule.get("repeat", False))
        if repeat and condition != "silence":
            self._fail((*path, "repeat"), "repeat goes with silence", key=True)
        when, text, pattern, silence = self._condition((*path, condition), condition, rule[condition], ignore_case)
        groups, most = (pattern.names, pattern.groups) if pattern is not None else ({}, 0)
        end = self._string((*path, "end"), rule["end"], "end") if "end" in rule else None
        if end is not None and end not in ENDS:
            self._fail((*path, "end"), f"{end!r} is no end", f"there are {', '.join(ENDS)}")
        return Rule(
            number=number,
            name=self._string((*path, "name"), rule.get("name", ""), "name"),
            position=self._positions[path][0],
            states=self._states((*path, "state"), rule.get("state", [])),
            when=when,
            text=text,
            ignore_case=ignore_case and when == "equals",
            pattern=pattern,
            silence=silence,
            repeat=repeat,
            where=self._where((*path, "where"), rule.get("where", {}), groups, most),
            answers=self._answers(path, rule, groups, most),
            end=ENDS[end] if end is not None else None,
            goto=self._string((*path, "goto"), rule["goto"], "goto") if "goto" in rule else None,
        )

    def _states(self, path: Path, value: object) -> tuple[str, ...]:
        if isinstance(value, list):
            return tuple(self._string((*path, index), each, "a state") for index, each in enumerate(value))
        return (self._string(path, value, "a state"),)

    def _condition(
        self,
        path: Path,
        kind: str,
        value: object,
        ignore_case: bool,  # noqa: FBT001
    ) -> tuple[When, bytes, Pattern | None, float]:
        if kind == "silence":
            return "silence", b"", None, self._duration(path, value, positive=True)
        text = self._string(path, value, kind)
        if kind == "on":
            if text not in _ON:
                self._fail(path, f"{text!r} is nothing that happens", f"there are {', '.join(_ON)}")
            return _ON[text], b"", None, 0.0
        if kind == "equals":
            return "equals", self._read(path, parse_text, text), None, 0.0
        pattern = self._read(path, lambda text: _pattern(kind, text, ignore_case=ignore_case), text)
        for name in pattern.names:
            if name in NAMES:
                self._fail(path, f"a group cannot be called {name}: that is a variable")
        return "pattern", b"", pattern, 0.0

    def _where(
        self, path: Path, table: object, groups: Mapping[str, int], most: int
    ) -> tuple[tuple[int, Template], ...]:
        if not isinstance(table, dict):
            self._fail(path, "where is a table: { sum = '${sum8:data:HEX}' }")
        made = []
        for key, value in table.items():
            index = int(key) if key.isascii() and key.isdigit() and len(key) < 4 else groups.get(key, -1)
            if not 0 <= index <= most:
                self._fail((*path, key), f"the condition has no group {key!r}", key=True)
            made.append((index, self._template((*path, key), value, text_template, groups, most)))
        return tuple(made)

    def _answers(self, path: Path, rule: dict[str, Any], groups: Mapping[str, int], most: int) -> tuple[Answer, ...]:
        delay = self._duration((*path, "delay"), rule.get("delay", 0))
        value = rule.get("answer", [])
        each = (*path, "answer")
        if isinstance(value, list):
            answers = [self._answer((*each, index), one, groups, most) for index, one in enumerate(value)]
        else:
            answers = [self._answer(each, value, groups, most)]
        if delay:
            first = answers[0] if answers else Answer(Template([]))
            answers[:1] = [first._replace(delay=first.delay + delay)]
        return tuple(answers)

    def _answer(self, path: Path, value: object, groups: Mapping[str, int], most: int) -> Answer:
        if not isinstance(value, dict):
            return Answer(self._template(path, value, text_template, groups, most))
        self._only(path, value, ("text", "hex", "delay"), "an answer")
        if ("text" in value) == ("hex" in value):
            self._fail(path, "an answer has either text or hex", "write { text = 'OK' } or { hex = '06' }")
        kind = "text" if "text" in value else "hex"
        make = text_template if kind == "text" else hex_template
        template = self._template((*path, kind), value[kind], make, groups, most)
        return Answer(template, self._duration((*path, "delay"), value.get("delay", 0)))

    def _template(
        self,
        path: Path,
        value: object,
        make: Callable[[str, Mapping[str, int], int], Template],
        groups: Mapping[str, int],
        most: int,
    ) -> Template:
        text = self._string(path, value, "an answer" if "answer" in path else "a value")
        return self._read(path, lambda text: make(text, groups, most), text)


def _pattern(kind: str, text: str, *, ignore_case: bool) -> Pattern:
    if kind == "hex":
        return hexadecimal(text)
    if kind == "contains":
        return containing(parse_text(text), ignore_case=ignore_case)
    return regex(text, ignore_case=ignore_case)
