"""Steady time: the clock of a run, and what a reader makes of its notes."""

from pathlib import Path

import pytest
from recording_files import blocks, closed, opened, received, remove_index
from recording_files import store as make_store

from portside.events import Closed, Event, Opened, Received
from portside.record import recording as recording_module
from portside.record import store as store_module
from portside.record.block_builder import BlockBuilder
from portside.record.clock import ClockStep, SteadyClock, WallTimes
from portside.record.recorder import Recorder
from portside.record.recording import Recording

S = 1_000_000_000
HOUR = 3600 * S
BEGAN = 1_800_000_000 * S


class Clocks:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.elapsed = 0
        self.set_by = 0

    def wall_ns(self) -> int:
        return BEGAN + self.elapsed + self.set_by

    def monotonic_ns(self) -> int:
        return 77 * S + self.elapsed


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def clock(clocks: Clocks) -> SteadyClock:
    return SteadyClock(clocks.wall_ns, clocks.monotonic_ns)


def batch(clock: SteadyClock, *walls: int) -> tuple[list[int], list[ClockStep]]:
    """The steady times of a batch of events, and the steps that were seen."""
    if clock.look():
        return list(walls), []
    timed = [clock.steady(wall) for wall in walls]
    steps = [step for _, step in timed] + [clock.end_batch()]
    return [at for at, _ in timed], [step for step in steps if step is not None]


def test_as_long_as_nobody_sets_the_clock_both_times_are_the_same(clocks: Clocks, clock: SteadyClock) -> None:
    assert clock.now() == BEGAN
    clocks.elapsed, clocks.set_by = 5 * S, 900_000  # slewed
    assert batch(clock, BEGAN + 5 * S) == ([BEGAN + 5 * S], [])


def test_an_interruption_between_two_readings_is_no_step(
    clocks: Clocks, clock: SteadyClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    interruptions = iter([5_000_000])

    def interrupted() -> int:
        clocks.elapsed += next(interruptions, 0)
        return clocks.monotonic_ns()

    monkeypatch.setattr(clock, "_monotonic_ns", interrupted)
    assert clock.look()
    assert next(interruptions, None) is None


@pytest.mark.parametrize("step", [HOUR, -HOUR, 2_000_000])
def test_a_step_between_two_batches(clocks: Clocks, clock: SteadyClock, step: int) -> None:
    batch(clock)
    clocks.elapsed, clocks.set_by = 2 * S, step
    steady = BEGAN + 2 * S - 5
    assert batch(clock, steady + step) == ([steady], [ClockStep(steady, step)])
    clocks.elapsed = 3 * S
    assert batch(clock, clocks.wall_ns()) == ([BEGAN + 3 * S], [])
    assert clock.correction == step


def test_a_step_in_the_middle_of_a_batch(clocks: Clocks, clock: SteadyClock) -> None:
    batch(clock)
    clocks.elapsed, clocks.set_by = 2 * S, -HOUR
    first, second, third = (BEGAN + seconds * S for seconds in (1, 2, 2))
    assert batch(clock, first, second - HOUR, third - HOUR) == ([first, second, third], [ClockStep(second, -HOUR)])


def test_a_step_behind_the_last_event(clocks: Clocks, clock: SteadyClock) -> None:
    batch(clock)
    clocks.elapsed, clocks.set_by = 2 * S, HOUR
    assert batch(clock, BEGAN + S) == ([BEGAN + S], [ClockStep(BEGAN + 2 * S, HOUR)])
    clocks.elapsed = 3 * S
    assert batch(clock, BEGAN + HOUR + 2 * S - 500) == ([BEGAN + 2 * S], []), "not before the step"


def test_two_steps_since_the_last_look(clocks: Clocks, clock: SteadyClock) -> None:
    batch(clock)
    clocks.elapsed, clocks.set_by = 2 * S, HOUR
    steadies, steps = batch(clock, BEGAN + S, BEGAN + S - HOUR, BEGAN + 2 * S + HOUR)
    assert steadies == sorted(steadies)
    assert steadies[0] >= BEGAN
    assert steadies[-1] <= BEGAN + 2 * S
    assert [step.correction for step in steps] == [HOUR]


def test_the_wall_times_of_a_segment() -> None:
    wall = WallTimes((ClockStep(100, HOUR), ClockStep(200, 0)))
    assert [wall.of(at) for at in (99, 100, 199, 200)] == [99, 100 + HOUR, 199 + HOUR, 200]
    assert not WallTimes(())


def record_with_steps(path: Path, clocks: Clocks, clock: SteadyClock) -> list[Event]:
    """A connection of 9 s, in the middle of which the clock is set forward, and later back; its events."""
    kept = make_store(path)
    kept.clock = clock
    recorder = Recorder(kept)
    events: list[Event] = []
    for second in range(10):
        clocks.elapsed = second * S
        clocks.set_by = HOUR if second in (3, 4, 5) else -HOUR if second > 5 else 0
        at = clocks.wall_ns()
        event: Event = Received(at, 1, "p:1", b"%d" % second)
        if second == 0:
            event = Opened(at, 1, "p:1", "l:1")
        elif second == 9:
            event = Closed(at, 1, "p:1", "local_closed", 8, 0, 9.0, None, "upstream")
        events.append(event)
        recorder.consume([event])
    recorder.close()
    return events


@pytest.mark.parametrize("rebuilt", [False, True])
@pytest.mark.parametrize("segment_bytes", [64 << 20, 64])
def test_a_recording_keeps_both_times(
    tmp_path: Path,
    clocks: Clocks,
    clock: SteadyClock,
    rebuilt: bool,
    segment_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES", segment_bytes)
    events = record_with_steps(tmp_path, clocks, clock)
    if rebuilt:
        remove_index(tmp_path)
    steady = [BEGAN + second * S for second in range(10)]
    with Recording(str(tmp_path)) as recording:
        assert list(recording.timed_events(1)) == list(zip(steady, events, strict=True))
        assert list(recording.all_timed_events()) == list(zip(steady, events, strict=True))
        recorded = recording.connection(1)
    assert (recorded.opened, recorded.began) == (BEGAN, BEGAN)
    assert (recorded.closed, recorded.by) == (BEGAN + 9 * S - HOUR, "upstream")


def test_a_gap_over_a_step_is_as_long_as_it_was(
    tmp_path: Path, clocks: Clocks, clock: SteadyClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = make_store(tmp_path)
    kept.clock = clock
    kept.flush(blocks(opened(1)))
    with monkeypatch.context() as patch:
        patch.setattr(kept._segments, "append", raise_full)
        block = blocks(received(1, b"x"))
        block[1].times[:] = [BEGAN + S]
        kept.flush(block)
    clock.look()
    clocks.elapsed, clocks.set_by = 4 * S, -HOUR
    clock.look()
    step = clock.end_batch()
    assert step is not None
    kept._retry_at = 0.0
    later = blocks(closed(1, 1, 0))
    later[1].times[:] = [BEGAN + 4 * S]
    later[0] = BlockBuilder(0)
    later[0].add_step(step)
    kept.flush(later)
    kept.close()
    with Recording(str(tmp_path)) as recording:
        (gap,) = [(at, event) for at, event in recording.timed_events(1) if event.event == "gap"]
    assert gap[0] == BEGAN + 4 * S
    assert (gap[1].at, gap[1].duration) == (BEGAN + 4 * S - HOUR, 3.0)  # type: ignore[attr-defined]


def raise_full(_buffers: object) -> None:
    raise OSError(28, "No space left on device")


def test_runs_after_a_step_stay_in_their_order(tmp_path: Path) -> None:
    """The flushes of each run count from 1: two with one number are no one flush."""
    for conn, began in ((1, BEGAN), (2, BEGAN - HOUR)):
        kept = make_store(tmp_path)
        first = blocks(opened(conn), closed(conn, 0, 0))
        first[conn].times[:] = [began, began + 5]
        kept._flush = 0
        kept.flush(first)
        kept.close()
    with Recording(str(tmp_path)) as recording:
        assert [getattr(event, "conn", 0) for event in recording.all_events()] == [1, 1, 2, 2]


def test_a_flush_without_end_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module, "_MOST_HELD_BYTES", 1)
    kept = make_store(tmp_path)
    for conn in (3, 2, 1):
        kept._flush = 7
        block = blocks(opened(conn))
        block[conn].times[:] = [BEGAN + conn]
        kept.flush(block)
    kept.close()
    with Recording(str(tmp_path)) as recording:
        assert [getattr(event, "conn", 0) for event in recording.all_events()] == [3, 2, 1], "as they stand"
