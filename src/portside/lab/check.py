"""``lab CODE --check``: runs ``portside diagnose`` beside the condition, until it finds it."""

import contextlib
import os
import shlex
import subprocess
import sys
import time
from functools import partial

import msgspec

from portside.app.stdout import write_lines
from portside.diagnosis.findings import Finding, Subject
from portside.lab.bench import Bench, die_with_parent
from portside.lab.condition import Scene

_LOOK_EVERY = "500ms"


def look_for(code: str, scene: Scene, bench: Bench, seconds: float) -> int:
    """Run ``diagnose`` until it finds the condition, for ``seconds`` at most; 0 if it did, else 1.

    Raises PortsideError when a role ends meanwhile, and LabStopped after a signal.
    """
    options = ["--only", code, *(word for each in scene.thresholds for word in ("--set", each))]
    words = ["diagnose", "--follow", "--json", "--interval", _LOOK_EVERY, *options]
    write_lines((f"Beside it: {shlex.join(['portside', *words])}",))
    began = time.monotonic()
    program = subprocess.Popen(
        [sys.executable, "-m", "portside", *words],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - this process has no other thread of ours
    )
    assert program.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        found = _finding(code, scene, bench, program.stdout.fileno(), began + seconds)
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
    after = time.monotonic() - began
    if found is None:
        write_lines((f"Not found within {after:.1f}s.",))
        return 1
    evidence = ", ".join(f"{name} {value}" for name, value in found.evidence.items())
    lines = (f"Found after {after:.1f}s: {found.severity} {found.code} {_subject(found.subject)}",)
    write_lines((*lines, f"  {found.summary}", f"  Evidence: {evidence}"))
    return 0


def _finding(code: str, scene: Scene, bench: Bench, fd: int, end: float) -> Finding | None:
    """The first finding about the condition; None where there is none until ``end``, or the program ends."""
    data = bytearray()
    while bench.wait_readable(fd, end):
        piece = os.read(fd, 1 << 16)
        if not piece:
            return None
        data += piece
        *lines, rest = data.split(b"\n")
        data = bytearray(rest)
        for line in lines:
            with contextlib.suppress(msgspec.ValidationError):
                found = msgspec.json.decode(line, type=Finding)
                if found.code == code and _is_about(found.subject, scene.port):
                    return found
    return None


def _is_about(subject: Subject, port: int | None) -> bool:
    """Whether a finding is about the port of the lab; those about the machine are about no port."""
    ends = [end for end in (subject.local, subject.remote) if end is not None]
    return port is None or any(end.endswith(f":{port}") for end in ends)


def _subject(subject: Subject) -> str:
    program = f"{subject.pid}/{subject.program}" if subject.pid else ""
    words = (subject.local or subject.remote, program)
    return "  ".join(word for word in words if word) or subject.kind
