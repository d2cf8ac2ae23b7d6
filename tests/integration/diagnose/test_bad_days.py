"""Days on which more is wrong than TCP: rights, namespaces, clocks, kernels, and processes that end or change."""

import socket
from collections.abc import Iterator
from functools import partial

import pytest
from at_once import Outcomes, outcomes_of
from integration.diagnose.bad_days_in_netns import BAD_DAYS
from netns import OWN_PROCESSES, run_in_netns

from portside.app import diagnose_source
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.registry import BY_CODE
from portside.kernel.destroy_monitor import DestroyMonitor


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The runs of all of them; they wait most of their time."""
    run = partial(run_in_netns, "integration.diagnose.bad_days_in_netns", options=OWN_PROCESSES)
    with outcomes_of(request, "test_a_bad_day", "name", run, 8) as outcomes:
        yield outcomes


@pytest.mark.parametrize("name", BAD_DAYS)
def test_a_bad_day(name: str, outcomes: Outcomes) -> None:
    outcomes[name].result()


def test_announcements_that_the_kernel_had_no_room_for_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()
    made: list[DestroyMonitor] = []

    def small(*arguments: None, held_bytes: int) -> DestroyMonitor:
        made.append(DestroyMonitor(*arguments, buffer_bytes=4096, held_bytes=held_bytes))
        return made[0]

    monkeypatch.setattr(diagnose_source, "DestroyMonitor", small)
    diagnosis = Diagnosis([BY_CODE["connect-refused"]])
    with diagnose_source.DiagnosisSource() as source:
        diagnosis.observe(source.observe())
        with made[0]._lock:  # nothing is received meanwhile
            for _ in range(1000):
                with socket.socket() as client:
                    client.connect_ex(nobody)
        seen = source.observe()
        assert seen.lost > 0
        found = next(each for each in diagnosis.observe(seen).current if each.subject.remote == "127.0.0.1")
        assert found.count < 1000
        assert f"some attempts: {seen.lost} announcements of closed sockets were lost" in found.unseen
