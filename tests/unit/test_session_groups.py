"""The process groups of the sessions of ``--pty``, read from /proc."""

from pathlib import Path

from portside.behaviours.terminal_process import SessionGroups


def add_process(proc: Path, pid: int, group: int, session: int, *, state: str = "S", program: str = "sh") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({program}) {state} 1 {group} {session} 34816 {group} 0\n")


def test_each_session_has_the_groups_of_its_own_processes(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    (tmp_path / "60").mkdir()  # a process that has ended since the folder was read
    add_process(tmp_path, 10, 10, 10)
    add_process(tmp_path, 11, 11, 10)
    add_process(tmp_path, 12, 12, 10, state="Z")
    add_process(tmp_path, 13, 13, 10, program="sh) Z 9 9 9 (")
    add_process(tmp_path, 20, 21, 20)
    sessions = SessionGroups(str(tmp_path))
    assert sessions.groups(10) == {10, 11, 13}
    assert sessions.groups(20) == {20, 21}
    assert sessions.groups(30) == {30}, "its first process, whose own end is reported otherwise"


def test_sessions_that_end_together_share_a_reading(tmp_path: Path) -> None:
    """Where each read all of /proc, 300 clients that left together stopped the server for 10 seconds."""
    now = 100.0
    sessions = SessionGroups(str(tmp_path), clock=lambda: now)
    assert sessions.groups(10) == {10}
    add_process(tmp_path, 11, 11, 10)
    assert sessions.groups(10) == {10}
    now += 0.02
    assert sessions.groups(10) == {10, 11}


def test_a_reading_can_be_asked_for_that_begins_at_a_time_or_later(tmp_path: Path) -> None:
    """However long a reading took: a job that was started meanwhile may not be in it."""
    now = 100.0
    sessions = SessionGroups(str(tmp_path), clock=lambda: now)
    assert sessions.groups(10) == {10}
    add_process(tmp_path, 11, 11, 10)
    assert sessions.groups(10, since=100.0) == {10}
    now = 100.001
    assert sessions.groups(10, since=100.0005) == {10, 11}
    add_process(tmp_path, 12, 12, 10)
    assert sessions.groups(10, since=100.001) == {10, 11}, "one reading serves all who asked before it began"


def test_no_processes_can_be_read(tmp_path: Path) -> None:
    assert SessionGroups(str(tmp_path / "none")).groups(10) == {10}
