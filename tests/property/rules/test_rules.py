"""Whatever the rules and the messages: places are true, the set says what each expression says, nothing escapes."""

import tomllib
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from unit.rules.scripted_client import ScriptedClient

from portside.wire.frame import Frame
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.ruleset import RulesError
from portside.wire.rules.toml_positions import find_positions

KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", "h . i", '"\\u0041\\t"', "3"])
SCALARS = st.sampled_from(
    ["1", "-2.5", "true", "1979-05-27T07:32:00Z", '"x#\\"y"', "'a\\'", '"""m\n"x"""""', "'''n\n'''", '""', "''"]
)
BLANK = st.sampled_from(["", " ", "  # [not] = 'this'\n", "\n\t"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(st.tuples(BLANK, inner, BLANK).map("".join), max_size=3).map(lambda each: f"[{','.join(each)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=2, unique_by=lambda each: each[0]).map(
            lambda each: "{" + ", ".join(f"{key} = {value}" for key, value in each) + "}"
        ),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda each: f"{each[0]} = {each[1]}"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f"[[ {key} ]] # x"),
    st.sampled_from(["", "# ] = [", "[[rule]]", "[rule.x]"]),
)


def paths(value: Any, before: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {before}
    if isinstance(value, dict):
        for key, each in value.items():
            found |= paths(each, (*before, key))
    if isinstance(value, list):
        for index, each in enumerate(value):
            found |= paths(each, (*before, index))
    return found


@given(st.lists(LINES, max_size=8).map("\n".join))
def test_every_value_of_a_document_has_its_place(document: str) -> None:
    try:
        values = tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return
    places = find_positions(document)
    assert places.keys() == paths(values) - {()}
    lines = document.split("\n")
    for key, value in places.values():
        assert lines[key.line - 1][key.column - 1 :].strip()
        assert lines[value.line - 1][value.column - 1 :].strip()


@given(st.text(alphabet="[]rule=on'\"message\n{}${}1#,. \\x\0é", max_size=60))
def test_a_document_is_read_or_its_error_told(document: str) -> None:
    with suppress(RulesError):
        read_rules(document, "F")


RULES = st.lists(
    st.one_of(
        st.sampled_from(["a", "ab", "b", ""]).map(lambda text: f"equals = '{text}'"),
        st.sampled_from(["a", "ba"]).map(lambda text: f"contains = '{text}'"),
        st.sampled_from(["^a+$", "b", "(a|b)*c", "^$"]).map(lambda text: f"regex = '{text}'"),
        st.sampled_from(["61*", "?? 62", "6?", "*"]).map(lambda text: f"hex = '{text}'"),
        st.sampled_from(["A", "aB"]).map(lambda text: f"equals = '{text}'\nignore-case = true"),
        st.just("on = 'message'"),
    ),
    min_size=1,
    max_size=6,
)


@given(RULES, st.lists(st.binary(max_size=4) | st.text("abc", max_size=4).map(str.encode), max_size=5))
def test_all_rules_together_say_what_the_first_that_applies_says(rules: list[str], messages: list[bytes]) -> None:
    together = ScriptedClient("".join(f"[[rule]]\n{each}\nanswer = '{index}'\n" for index, each in enumerate(rules)))
    alone = [ScriptedClient(f"[[rule]]\n{each}\nanswer = '{index}'\n") for index, each in enumerate(rules)]
    for message in messages:
        said = [answer for client in alone if (answer := client.say(message)) is not None]
        assert together.say(message) == (said[0] if said else None)


@given(st.lists(st.text("ab\r", max_size=6).map(str.encode), max_size=6), st.data())
def test_messages_do_not_depend_on_how_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    hearing, heard = MessageReader(Frame("lines"), 64), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        heard += hearing.feed(stream[:size], 0.0)
        stream = stream[size:]
    assert heard + hearing.finish() == [line[:-1] if line.endswith(b"\r") else line for line in lines]
