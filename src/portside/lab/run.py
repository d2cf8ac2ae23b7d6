"""Makes a condition, says what to look at, holds it, and cleans up."""

import os
import signal
import time
from collections.abc import Iterator

from portside.app.notices import write_notice
from portside.app.signals import readable_at_signal
from portside.app.stdout import ends_with_reader, write_lines
from portside.errors import PortsideError
from portside.lab.bench import Bench, LabStopped
from portside.lab.check import look_for
from portside.lab.condition import Condition, Scene
from portside.lab.isolation import Isolation
from portside.units import format_duration

_LOOK_EVERY_S = 0.1


def run(condition: Condition, seconds: float, *, check: bool) -> int:
    """Make a condition and hold it for ``seconds``, or until a signal; the exit status. Raises PortsideError.

    With ``check`` it is held until ``diagnose`` finds it: 0, or 1 where that does not happen.
    """
    status = 0
    with readable_at_signal(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as stop_fd:
        isolation = Isolation(condition.code)
        if condition.isolated:
            isolation.enter()
        with Bench(condition.code, isolation, stop_fd) as bench:
            try:
                began = time.monotonic()
                scene = condition.make(bench)
                proof = wait_for_proof(bench, scene)
                write_lines(story(condition, scene, proof, time.monotonic() - began, seconds, check=check))
                with ends_with_reader(bench.close):
                    if check:
                        status = look_for(condition.code, scene, bench, seconds)
                    else:
                        _hold(bench, seconds)
            except LabStopped:
                pass
    write_notice(f"lab {condition.code}: ended; its processes and sockets are gone")
    return status


def wait_for_proof(bench: Bench, scene: Scene) -> str:
    """Wait until the kernel shows the condition: what it shows, in words. Raises PortsideError and LabStopped."""
    end = time.monotonic() + scene.within_s
    while (proof := scene.proof()) is None:
        if time.monotonic() > end:
            why = f"the condition has not come about within {scene.within_s:.0f} seconds"
            raise PortsideError(f"lab {bench.code}", why, "the machine may be too busy, or this kernel does otherwise")
        bench.wait(_LOOK_EVERY_S)
    return proof


def story(
    condition: Condition, scene: Scene, proof: str, took_s: float, seconds: float, *, check: bool
) -> Iterator[str]:
    """The lines that a person reads: what it is, that it is there, and what to look at."""
    yield f"{condition.code}: {condition.what}"
    yield f"How: {condition.how}"
    yield f"There after {took_s:.1f}s: {proof}"
    yield ""
    if condition.isolated:
        yield "It is in a network namespace of its own. In another terminal, a shell in it:"
        yield f"  {enter_command()}"
        yield "and there:"
    else:
        yield "Look at it from another terminal:"
    for look in scene.looks:
        yield f"  {look.command}"
        yield f"      {look.shows}"
    yield ""
    if not check:
        yield f"Held for {format_duration(seconds).replace('.000s', 's')}; Ctrl-C ends it."


def enter_command() -> str:
    """The command that opens a shell in the namespace of this process; one that is no login shell keeps its PATH."""
    return f"nsenter --preserve-credentials -U -n -t {os.getpid()} $SHELL"


def _hold(bench: Bench, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        bench.wait(left)
