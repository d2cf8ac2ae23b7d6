"""Findings as text, and the values of ``--set``."""

import pytest

from portside.app.diagnose_text import evidence_text, finding_lines, gone_line, list_lines, subject_text
from portside.app.diagnosis_choice import chosen_rules, read_thresholds
from portside.app.documentation import read_finding_page
from portside.diagnosis.findings import Finding, Subject
from portside.diagnosis.registry import BY_CODE, RULES
from portside.errors import InvalidValue, PortsideError, UsageError
from portside.settings.diagnose import Setting, parse_setting

FOUND = Finding(
    "close-wait-leak", "critical", Subject("program", 53140, "python3", local="127.0.0.1:12345"),
    "214 connections wait for close().", {"in_CLOSE_WAIT": 214, "oldest_s": 192.0, "share": 0.5, "recv_q_bytes": 2048},
    "why", "close the socket.", "T1", "T2", 214, ("the programs of others",),
)  # fmt: skip


def test_a_finding_as_text() -> None:
    assert list(finding_lines(FOUND, None)) == [
        "critical  close-wait-leak   127.0.0.1:12345  53140/python3",
        "          214 connections wait for close().",
        "          Evidence: 214 in CLOSE_WAIT, oldest 3m12s, share 50 %, recv q 2.0 KiB.",
        "          Do: close the socket.",
        "          Not seen: the programs of others.",
    ]
    assert gone_line(FOUND) == "gone      close-wait-leak   127.0.0.1:12345  53140/python3"


def test_a_narrow_terminal_wraps() -> None:
    lines = list(finding_lines(FOUND, 60))
    assert all(len(line) <= 60 for line in lines)
    assert len(lines) > 5


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (Subject("machine"), "this machine"),
        (Subject("peer", remote="10.0.0.1"), "-> 10.0.0.1"),
        (Subject("socket", 7, None, "a:1", "b:2"), "a:1 -> b:2  7/-"),
    ],
)
def test_subjects(subject: Subject, text: str) -> None:
    assert subject_text(subject) == text


def test_evidence() -> None:
    evidence: dict[str, int | float | str] = {"peer": "a:1", "in_FIN_WAIT1": 2, "rtt_ms": 1.5, "each_second": 2.1}
    assert evidence_text(evidence) == "peer a:1, 2 in FIN_WAIT1, rtt 1.5 ms, 2.1 each second"


def test_evidence_of_one_and_of_an_age() -> None:
    evidence = {"connections": 1, "processes": 1, "dropped": 1, "in_CLOSE_WAIT": 1, "older_than_age": 1, "age_s": 60}
    words = "1 connection, 1 process, 1 dropped, 1 in CLOSE_WAIT, 1 older than 1m00s"
    assert evidence_text(evidence) == words
    assert evidence_text({"connections": 2, "processes": 0, "age_s": 1}) == "2 connections, 0 processes, age 1.0s"


def test_the_list_wraps_beside_its_codes() -> None:
    assert len(list(list_lines(RULES, None))) == len(RULES)
    lines = list(list_lines(RULES, 75))
    assert len(lines) > len(RULES)
    assert all(len(line) <= 75 for line in lines)


def test_rules_are_chosen_by_code() -> None:
    assert [rule.code for rule in chosen_rules(["orphans", "reordering"], ["orphans"])] == ["reordering"]
    assert len(chosen_rules([], ["orphans"])) == len(RULES) - 1
    with pytest.raises(UsageError) as raised:
        chosen_rules(["orphan"], [])
    assert raised.value.hint == "did you mean orphans?"
    with pytest.raises(UsageError) as raised:
        chosen_rules(["xyzzy"], [])
    assert raised.value.hint == "portside diagnose --list shows them"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("close-wait-leak.age=500ms", 0.5),
        ("close-wait-leak.sockets=3", 3),
        ("port-exhaustion.share=50%", 0.5),
        ("port-exhaustion.share=0.5", 0.5),
        ("small-mss.bytes=1k", 1024),
    ],
)
def test_thresholds_are_read_by_their_unit(text: str, value: float) -> None:
    setting = parse_setting(text)
    assert read_thresholds([setting]) == {(setting.code, setting.name): value}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("close-wait-leak.aged=1s", "did you mean close-wait-leak.age?"),
        ("close-wait-leak.xyzzy=1s", "it has age, sockets, critical"),
        ("self-connected.age=1s", "it has none"),
        ("close-wait-leek.age=1s", "did you mean close-wait-leak?"),
        ("close-wait-leak.age=long", None),
        ("close-wait-leak.sockets=-1", None),
        ("close-wait-leak.sockets=many", None),
    ],
)
def test_thresholds_that_are_wrong(text: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as raised:
        read_thresholds([parse_setting(text)])
    assert raised.value.hint == hint


@pytest.mark.parametrize(
    "text", ["", "age=1", "close-wait-leak=1", "close-wait-leak.age", "close-wait-leak.age=", ".a=1"]
)
def test_settings_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_setting(text)
    assert parse_setting("a.b=c=d") == Setting("a", "b", "c=d")


def test_every_page_can_be_shown() -> None:
    for code in BY_CODE:
        assert read_finding_page(code).startswith(f"# {code}\n".encode())
    with pytest.raises(PortsideError):
        read_finding_page("nothing")
