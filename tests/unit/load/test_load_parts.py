"""MessageSource, conditions, verdicts and the report of load."""

import socket
from pathlib import Path
from random import Random

import pytest

from portside.errors import InvalidValue, PortsideError
from portside.load.conditions import parse_condition
from portside.load.histogram import Histogram
from portside.load.messages import DEFAULT, MessageContext, MessageSource, parse_message
from portside.load.replies import parse_reply
from portside.load.report import Kernel, LoadReport, Observed, Times, show_time, text_lines, times_of
from portside.load.verdict import verdict
from portside.load.work import Target
from portside.units import parse_rate

SENDER = MessageContext(7, 3, "127.0.0.1:9000", "127.0.0.1:40000")


def made(messages: MessageSource) -> bytes:
    return messages.make(SENDER, 0, Random(1))


def times(value: float | None = 500.0) -> Times:
    return dict.fromkeys(("p50", "p90", "p95", "p99", "p99_9", "p99_99", "max"), value)


def report(**given: object) -> LoadReport:
    known: dict[str, object] = {
        "target": "localhost:9000", "duration": 10.0, "connections": 50, "workers": 2, "wanted_rate": None,
        "sent": 1000, "replies": 990, "errors": {"reset": 10}, "rate": 99.0, "bytes_sent": 64000,
        "bytes_received": 63360, "opened": 60, "connect_rate": 1.0, "latency_us": times(), "connect_us": times(80.0),
        "late_us": None,
        "kernel": Kernel(retransmitted=0, receiver_limited=0.5, sender_limited=None, rtt_us=times(20.0)),
        "verdict": [], "failed": [],
    }  # fmt: skip
    return LoadReport(**(known | given))  # type: ignore[arg-type]


def test_the_default_message_is_a_line_of_64_bytes() -> None:
    message = parse_message(DEFAULT).constant
    assert message is not None
    assert len(message) == 64
    assert message.endswith(b"\n")


def test_variables_stand_for_the_connection_and_the_message() -> None:
    messages = parse_message(r"${conn} ${count} ${peer} ${local}\n")
    assert messages.constant is None
    assert made(messages) == b"7 3 127.0.0.1:9000 127.0.0.1:40000\n"


def test_a_file_and_random_bytes(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_bytes(b"${conn}\0")
    assert parse_message(f"@{path}").constant == b"${conn}\0"
    messages, random = parse_message("random:2k"), Random(1)
    some = {messages.make(SENDER, 0, random) for _ in range(20)}
    assert {len(each) for each in some} == {2048}
    assert len(some) > 1


def test_what_is_no_message(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for text in ("", f"@{tmp_path / 'empty'}", "random:0", "random:1T", "${nothing}"):
        with pytest.raises(InvalidValue):
            parse_message(text)
    with pytest.raises(PortsideError):
        parse_message(f"@{tmp_path / 'absent'}")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p99 > 499us", True),
        ("p99>0.5ms", False),
        ("p99.9 >= 500us", True),
        ("max < 1ms", True),
        ("connect.p50 > 79us", True),
        ("errors > 0", True),
        ("errors = 10", True),
        ("errors != 10", False),
        ("rate < 100/s", True),
        ("rate < 99", False),
        ("replies <= 990", True),
        ("retransmitted > 0", False),
        ("late.p99 > 1ms", True),  # there is no value
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(report()) is holds


@pytest.mark.parametrize("text", ["", "p99", "p98 > 1ms", "p99 > fast", "errors > 1ms", "rate < 1ms", "p99 ~ 1ms"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_condition(text)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidValue, match="errors"):
        parse_condition("eror > 0")


def verdict_of(**given: object) -> list[str]:
    known: dict[str, object] = {
        "rate": 100.0, "wanted_rate": None, "late_us": None, "busiest": 0.2, "duration_s": 10.0, "kernel": None,
        "observed": Observed({}),
    }  # fmt: skip
    return list(verdict(**(known | given)))  # type: ignore[arg-type]


def test_nothing_is_said_of_a_run_that_nothing_held_back() -> None:
    quiet = Kernel(retransmitted=0, receiver_limited=0.0, sender_limited=0.0, rtt_us=times(20.0))
    assert verdict_of(kernel=quiet, wanted_rate=100.0, late_us=times(100.0), observed=Observed({}, (0, 128), 0.5)) == []


def test_what_held_a_run_back_is_said() -> None:
    slow = Kernel(retransmitted=7, receiver_limited=0.4, sender_limited=0.3, rtt_us=times(20.0))
    observed = Observed({"TcpExt.TCPSynRetrans": 3, "TcpExt.ListenOverflows": 2}, (90, 128), 0.99)
    said = verdict_of(
        wanted_rate=1000.0, late_us=times(2500.0), busiest=0.97, kernel=slow, observed=observed
    )  # fmt: skip
    expected = (
        "the rate was not reached: 100 of 1,000", "more than 2.5 ms", "97%", "(99%)", "7 segments", "40%", "30%",
        "3 connection attempts", "dropped 2 connections", "90 connections waiting of at most 128",
    )  # fmt: skip
    assert len(said) == len(expected)
    for sentence, part in zip(said, expected, strict=True):
        assert part in sentence


def test_sentences_go_on_below_on_a_terminal_and_nowhere_else() -> None:
    (sentence,) = verdict_of(
        kernel=Kernel(retransmitted=0, receiver_limited=0.5, sender_limited=None, rtt_us=times(20.0))
    )
    assert len(sentence) > 80
    for shown, whole in (
        (report(verdict=[sentence]), sentence),
        (report(failed=[sentence]), f"failed: {sentence}"),
        (report(errors={sentence: 7}), f"error: 7 {sentence}"),
    ):
        assert list(text_lines(shown))[-1] == whole
        folded = list(text_lines(shown, 80))
        assert max(map(len, folded)) <= 80
        assert f"{folded[-2]} {folded[-1].strip()}" == whole
    assert max(map(len, list(text_lines(shown, 1))[-3:])) <= 40


def test_the_report_for_a_person() -> None:
    lines = list(text_lines(report(verdict=["slow"], failed=["p99 > 1us: 500us"], wanted_rate=200.0)))
    assert lines[0] == "990 messages answered in 10.0s, 99/s of 200/s; 1,000 sent"
    assert "error: 10 messages or connections lost by a reset" in lines
    assert lines[-2:] == ["slow", "failed: p99 > 1us: 500us"]
    widths = {len(line) for line in lines if line.startswith(("  ", "latency", "connecting", "rtt"))}
    assert len(widths) == 1
    assert max(widths) <= 80


def test_times_for_a_person() -> None:
    shown = [show_time(each) for each in (None, 0.4, 999.0, 1000.0, 99_000.0, 100_000.0, 2_100_000.0)]
    assert shown == ["-", "0us", "999us", "1.00ms", "99.00ms", "100ms", "2.10s"]


def test_times_of_an_empty_histogram_are_not_known() -> None:
    assert set(times_of(Histogram()).values()) == {None}


def test_rates() -> None:
    assert [parse_rate(each) for each in ("10/s", "5k/s", "0.5/s", "2M/s")] == [10, 5000, 0.5, 2_000_000]
    for text in ("10", "0/s", "/s", "10/m", "1T/s", "2000M/s"):
        with pytest.raises(InvalidValue):
            parse_rate(text)


@pytest.mark.parametrize(("reply", "answers"), [(r"/\b/", 0), (r"/x*$/i", None), (r"/\bk|\b/", 1)])
def test_a_place_without_text_ends_no_answer(reply: str, answers: int | None) -> None:
    if answers is None:
        with pytest.raises(InvalidValue, match="nothing at all"):
            parse_reply(reply)
        return
    made_by = parse_reply(reply).reader
    assert made_by is not None
    assert made_by(None).feed(b"ok k ") == answers


@pytest.mark.parametrize(
    ("family", "sockaddr", "is_here"),
    [
        (socket.AF_INET, ("127.0.0.1", 80), True),
        (socket.AF_INET6, ("::1", 80, 0, 0), True),
        (socket.AF_INET, ("192.0.2.1", 80), False),
        (socket.AF_UNIX, "/run/x.sock", False),
    ],
)
def test_only_the_listener_of_a_server_on_this_machine_is_looked_at(
    family: int, sockaddr: object, is_here: bool
) -> None:
    assert Target(family, sockaddr).is_here is is_here
