"""Keyword arguments are the options of the command line: the same names, values and bounds."""

from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.api.keywords import NOT_IN_CONNECT, NOT_IN_LISTEN, make_settings
from portside.api.options import ConnectOptions, ListenOptions
from portside.cli.parser import parse
from portside.errors import UsageError
from portside.settings import option_specs
from portside.settings.connect import Connect
from portside.settings.listen import Listen
from portside.wire.frame import parse_frame


def settings_of(**keywords: Any) -> Listen:
    return make_settings(Listen, "listen", keywords, without=NOT_IN_LISTEN, also={"addresses": ()})


@pytest.mark.parametrize(
    ("settings", "left_out", "typed"),
    [(Listen, NOT_IN_LISTEN, ListenOptions), (Connect, NOT_IN_CONNECT, ConnectOptions)],
)
def test_each_option_is_a_typed_keyword_or_left_out_on_purpose(
    settings: type, left_out: frozenset[str], typed: type
) -> None:
    names = {name for name, spec, _ in option_specs(settings) if spec.flags}
    assert left_out <= names
    assert set(get_type_hints(typed)) == names - left_out


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"idle_timeout": 5}, ["--idle-timeout", "5"]),
        ({"idle_timeout": 0.25}, ["--idle-timeout", "250ms"]),
        ({"idle_timeout": "2m"}, ["--idle-timeout", "2m"]),
        ({"idle_timeout": None}, []),
        ({"keepalive": None}, ["--keepalive", "off"]),
        ({"keepalive": "off"}, ["--keepalive", "off"]),
        ({"max_frame": 1024, "frame": "fixed:4"}, ["--max-frame", "1k", "--frame", "fixed:4"]),
        ({"frame": parse_frame("fixed:4")}, ["--frame", "fixed:4"]),
        ({"greet": b"\0\n"}, ["--greet", "\\0\\n"]),
        ({"greet": "hi\\n"}, ["--greet", "hi\\n"]),
        ({"record": Path("rec"), "record_mode": 0o640}, ["--record", "rec", "--record-mode", "640"]),
        ({"unix_mode": "660"}, ["--unix-mode", "660"]),
        ({"allow": "10.0.0.0/8"}, ["--allow", "10.0.0.0/8"]),
        ({"allow": ["::1", "127.0.0.1"]}, ["--allow", "::1", "--allow", "127.0.0.1"]),
        ({"allow": []}, []),
        ({"output": Path("a.jsonl")}, ["-o", "a.jsonl"]),
        ({"tls": True, "tls_alpn": ["h2", "http/1.1"]}, ["--tls", "--tls-alpn", "h2,http/1.1"]),
        ({"echo": False, "chat": True}, ["--chat"]),
        ({"forward": "127.0.0.1:1", "forward_tls": True, "forward_tls_verify": False},
         ["--forward", "127.0.0.1:1", "--forward-tls", "--no-forward-tls-verify"]),
        ({"fault": ["latency 5ms"], "fault_seed": 7}, ["--fault", "latency 5ms", "--fault-seed", "7"]),
    ],
)  # fmt: skip
def test_keywords_are_what_the_command_line_says(keywords: dict[str, Any], words: list[str]) -> None:
    assert settings_of(**keywords) == parse(Listen, "listen", words)


@given(st.sampled_from(sorted(get_type_hints(ListenOptions))), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4),
    st.lists(st.text(max_size=4), max_size=3), st.builds(object),
))  # fmt: skip
def test_any_value_is_taken_or_refused_as_a_usage_error(name: str, value: object) -> None:
    with suppress(UsageError):
        settings_of(**{name: value})
