"""What is wrong with a broker: how often it is said, and in which words."""

import pytest
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

from portside.errors import Hint, PortsideError
from portside.fleet.outbox.trouble import TroubleNotices, refusal, unasked
from portside.settings.broker import BrokerOptions

OPTIONS = BrokerOptions(nats=("nats://me:s3cret@broker:4222",))
AWAY, FULL = PortsideError("broker", "Connection refused", "start it"), PortsideError("broker", "full")


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def notices(now: list[float], said: list[str]) -> TroubleNotices:
    def notify(words: str, hint: Hint) -> None:
        said.append(words if hint is None else f"{words} ({hint})")

    return TroubleNotices(notify, lambda: now[0])


def test_a_trouble_is_said_once_however_long_it_lasts(
    notices: TroubleNotices, now: list[float], said: list[str]
) -> None:
    for _ in range(1000):
        notices.say(AWAY)
        notices.say(FULL)
        now[0] += 30
    assert said == ["cannot publish to broker: Connection refused (start it)", "cannot publish to broker: full"]
    notices.passed("broker")
    notices.passed("broker")
    assert said[2:] == ["publishing to broker again"]


def test_a_trouble_that_comes_and_goes_is_said_once_a_minute(
    notices: TroubleNotices, now: list[float], said: list[str]
) -> None:
    for _ in range(100):
        notices.say(AWAY)
        notices.passed("broker")
        now[0] += 6
    assert len(said) == 20


def test_troubles_without_end(notices: TroubleNotices, said: list[str]) -> None:
    for number in range(1000):
        notices.say(PortsideError("broker", f"trouble {number}"))
    assert len(said) < 50


def test_refusals() -> None:
    full = refusal(OPTIONS, APIError(code=503, err_code=10077, description="maximum bytes exceeded"))
    assert str(full) == "nats://broker:4222: JetStream refuses: maximum bytes exceeded"
    assert "--max-bytes" in str(full.hint)
    other = refusal(OPTIONS, APIError(code=400, err_code=10060, description="expected stream does not match"))
    assert "does not match" in str(other)
    assert other.hint is None
    for error in (NoStreamResponseError(), NotFoundError(code=404, err_code=10059, description="stream not found")):
        assert "there is no stream" in str(refusal(OPTIONS, error))
    assert "no JetStream" in str(refusal(OPTIONS, ServiceUnavailableError()))


def test_what_nats_says_in_no_call() -> None:
    denied = unasked(OPTIONS, Exception('nats: Permissions Violation for Publish to "portside.a.b.node"'))
    assert denied
    assert denied.why == 'Permissions Violation for Publish to "portside.a.b.node"'
    assert "portside help fleet" in str(denied.hint)
    assert "s3cret" not in str(denied)
    assert unasked(OPTIONS, OSError("unexpected EOF")) is None
