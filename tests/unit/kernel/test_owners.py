"""Owners out of a /proc made by hand: what is read again, and when."""

import os
import shutil
from pathlib import Path

import pytest

from portside import fd_tables, procfs
from portside.kernel import owners as module
from portside.kernel.models import Owner
from portside.kernel.owners import OwnerFinder
from portside.procfs import ProcessIdentity, iter_processes
from portside.procfs import socket_fds as procfs_socket_fds


class Machine:
    """A folder that looks like /proc, a clock, and how often each process was read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.reads: list[int] = []
        self.cookies: dict[int, int] = {}
        (root / "self").mkdir()
        (root / "uptime").touch()
        self.owners = OwnerFinder(proc=str(root), max_age_s=5, clock=lambda: self.now)

    def process(
        self, pid: int, program: str, *descriptors: str, started: int = 1, state: str = "S", threads: int = 1
    ) -> None:
        folder = self.root / str(pid)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "fd").mkdir(parents=True)
        (folder / "stat").write_text(f"{pid} ({program}) {state} {'0 ' * 16}{threads} 0 {started} 0 0\n")
        for number, target in enumerate(descriptors):
            (folder / "fd" / str(number)).symlink_to(target)

    def thread(self, pid: int, thread: int, *descriptors: str) -> None:
        folder = self.root / str(pid) / "task" / str(thread) / "fd"
        folder.mkdir(parents=True)
        for number, target in enumerate(descriptors):
            (folder / str(number)).symlink_to(target)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid))

    def find(self, *inodes: int) -> dict[int, list[tuple[int, str | None, int | None]]]:
        cookies = [self.cookies.get(inode, inode) for inode in inodes]
        found = self.owners.find(inodes, cookies)
        return {inode: [(owner.pid, owner.program, owner.fd) for owner in each] for inode, each in found.items()}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    read = procfs_socket_fds

    def counted(process: ProcessIdentity, descriptors: int) -> list[tuple[int, int]] | None:
        machine.reads.append(int(process.folder.removeprefix(f"{tmp_path}/").partition("/")[0]))
        return read(process, descriptors)

    monkeypatch.setattr(module, "socket_fds", counted)
    return machine


def test_each_descriptor_of_each_process(machine: Machine) -> None:
    machine.process(10, "nc", "/dev/null", "socket:[7]", "socket:[8]", "socket:[7]")
    machine.process(9, "a (b) c", "pipe:[7]", "socket:[7]")
    assert machine.find(7, 8, 99, 0) == {7: [(9, "a (b) c", 1), (10, "nc", 1), (10, "nc", 3)], 8: [(10, "nc", 2)]}


def test_nothing_is_read_again_while_nothing_changes(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "nc", "socket:[9]")
    first = machine.find(7, 99)
    machine.now = 4.9
    assert machine.find(7, 99) == machine.find(7) == first
    assert sorted(machine.reads) == [10, 11]


def test_a_new_socket_is_first_looked_for_in_the_processes_that_changed(machine: Machine) -> None:
    machine.owners = OwnerFinder(proc=str(machine.root), max_age_s=5, thorough=False, clock=lambda: machine.now)
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "nc", "socket:[8]")
    machine.find(7, 8)
    machine.reads.clear()
    machine.process(10, "nc", "socket:[7]", "socket:[9]")
    assert machine.find(7, 8, 9)[9] == [(10, "nc", 1)]
    assert machine.reads == [10]
    machine.reads.clear()
    machine.process(11, "nc", "socket:[10]")  # as many descriptors as before
    assert machine.find(7, 9, 10) == {7: [(10, "nc", 0)], 9: [(10, "nc", 1)], 10: [(11, "nc", 0)]}
    assert sorted(machine.reads) == [10, 11]


def test_everything_is_read_again_after_a_while(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.find(7)
    link = machine.root / "10/fd/0"
    link.unlink()
    link.symlink_to("socket:[8]")
    machine.now = 4
    assert 7 in machine.find(7)
    machine.now = 5
    assert machine.find(7) == {}


def test_of_large_processes_only_some_are_read_again_in_one_look(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REREAD_DESCRIPTORS", 3)
    for pid in (10, 11, 12, 13):
        machine.process(pid, "nc", f"socket:[{pid}]", "/dev/null")
    machine.find(10, 11, 12, 13)
    machine.reads.clear()
    machine.now = 5
    machine.find(10, 11, 12, 13)
    assert machine.reads == [10, 11]
    machine.find(10, 11, 12, 13)
    assert machine.reads == [10, 11, 12, 13]
    machine.find(10, 11, 12, 13)
    assert len(machine.reads) == 4


@pytest.mark.parametrize("status", ["Name:\tnc\nFDSize:\t1024\nGroups:\n", "FDSize:\t9999\n", "Name:\tnc\n", None])
def test_a_process_with_a_great_many_descriptors(machine: Machine, status: str | None) -> None:
    targets = [f"socket:[{number}]" if number % 2 else "/dev/null" for number in range(1010)]
    machine.process(10, "nc", *targets)
    (machine.root / "10/fd/500").unlink()
    if status is not None:
        (machine.root / "10/status").write_text(status)
    found = machine.find(*range(1, 1010))
    assert found == {number: [(10, "nc", number)] for number in range(1, 1010, 2)}


def test_a_fork_shows_at_once(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.find(7)
    machine.process(11, "nc", "socket:[7]")
    assert [owner[0] for owner in machine.find(7)[7]] == [10, 11]
    assert machine.reads == [10, 11]


def test_a_descriptor_that_is_passed_on_shows_at_once(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "nc", "/dev/null")
    machine.find(7)
    (machine.root / "11/fd/5").symlink_to("socket:[7]")
    (machine.root / "10/fd/0").unlink()
    assert machine.find(7) == {7: [(11, "nc", 5)]}


def test_an_exit_shows_at_once(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.find(7)
    machine.end(10)
    assert machine.find(7) == {}


def test_a_process_number_that_is_used_again(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]", started=5)
    machine.find(7)
    machine.process(10, "cat", "/dev/null", started=6)
    assert machine.find(7) == {}


def test_an_inode_that_is_used_again(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "cat", "/dev/null")
    machine.find(7)
    for pid, target in (("10", "/dev/null"), ("11", "socket:[7]")):
        link = machine.root / pid / "fd/0"
        link.unlink()
        link.symlink_to(target)
    assert machine.find(7) == {7: [(10, "nc", 0)]}
    machine.cookies[7] = 1234
    assert machine.find(7) == {7: [(11, "cat", 0)]}


def test_another_program_in_the_same_process(machine: Machine) -> None:
    machine.process(10, "sh", "socket:[7]")
    machine.find(7)
    machine.process(10, "nc", "socket:[7]")
    assert machine.find(7) == {7: [(10, "nc", 0)]}
    assert machine.reads == [10]


def test_a_process_that_ended_but_was_not_waited_for_holds_nothing(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]", state="Z")
    assert machine.find(7) == {}
    assert machine.owners.unreadable == 0


def test_a_process_whose_first_thread_ended_while_others_go_on(machine: Machine) -> None:
    machine.process(10, "nc", state="Z", threads=2)
    machine.thread(10, 10)
    machine.thread(10, 14, "socket:[7]", "/dev/null")
    assert machine.find(7) == {7: [(10, "nc", 0)]}
    (machine.root / "10/task/14/fd/5").symlink_to("socket:[8]")
    assert machine.find(7, 8) == {7: [(10, "nc", 0)], 8: [(10, "nc", 5)]}


def test_threads_with_tables_of_their_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are 30 (threads 10 and 12), 20 (11 and 14) and 40 (13); 15 ended meanwhile."""
    tables = {10: 30, 11: 20, 12: 30, 13: 40, 14: 20}

    def compared(one: int, other: int) -> int | None:
        if one not in tables or other not in tables:
            return None
        return 0 if tables[one] == tables[other] else 1 if tables[one] < tables[other] else 2

    monkeypatch.setattr(fd_tables, "compare_tables", compared)
    machine.process(10, "nc", "socket:[7]", threads=6)
    for thread in (10, 11, 12, 13, 14, 15):
        machine.thread(10, thread, f"socket:[{thread}]")
    assert machine.find(7, *range(10, 16)) == {7: [(10, "nc", 0)], 11: [(10, "nc", 0)], 13: [(10, "nc", 0)]}


def test_where_the_kernel_does_not_compare_tables_their_sizes_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fd_tables, "compare_tables", lambda one, other: None)
    counts = {"10/task/10": 1, "10/task/11": 1, "10/task/12": 2}
    monkeypatch.setattr(
        procfs, "count_fds", lambda folder, *, exact: counts.get(folder.removeprefix(f"{machine.root}/"), -1)
    )
    machine.process(10, "nc", "socket:[7]", threads=3)
    for thread in (10, 11, 12):
        machine.thread(10, thread, f"socket:[{thread}]")
    assert machine.find(7, 10, 11, 12) == {7: [(10, "nc", 0)], 12: [(10, "nc", 0)]}


def test_a_process_that_vanishes_while_it_is_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "nc")
    shutil.rmtree(machine.root / "11/fd")
    machine.process(12, "nc", "socket:[8]")

    def readlink(name: str, *, dir_fd: int) -> str:
        raise ProcessLookupError if os.readlink(f"/proc/self/fd/{dir_fd}").endswith("12/fd") else FileNotFoundError

    original = os.readlink
    monkeypatch.setattr(os, "readlink", lambda *a, **k: readlink(*a, **k) if k else original(*a))
    assert machine.find(7, 8) == {}
    assert machine.owners.unreadable == 0


@pytest.mark.parametrize("where", ["open", "readlink"])
def test_processes_that_may_not_be_read_are_counted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    machine.process(10, "nc", "socket:[7]")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, where, refuse)
    assert machine.find(7) == {}
    assert machine.owners.unreadable == 1


def test_a_stat_that_is_cut_is_a_process_that_ended(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]")
    (machine.root / "10/stat").write_text("10 (nc) S 1")
    assert machine.find(7) == {}
    machine.process(10, "nc", "socket:[7]")
    (machine.root / "10/stat").unlink()
    assert machine.find(7) == {}


def test_where_the_kernel_counts_descriptors_they_are_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "self/fd").mkdir()
    counted = OwnerFinder(proc=str(tmp_path))
    machine.process(10, "nc", "socket:[7]")
    inodes = [7]
    assert counted.find(inodes) == {7: (Owner(10, "nc", 0),)}
    listed: list[object] = []

    def listdir(path: object) -> list[str]:
        listed.append(path)
        return ["10", "nothing"]

    monkeypatch.setattr(os, "listdir", listdir)
    shutil.rmtree(tmp_path / "10/fd")
    assert counted.find(inodes) == {}
    assert set(listed) == {str(tmp_path)}


def test_the_program_may_have_any_name(machine: Machine) -> None:
    machine.process(10, "x", "socket:[7]")
    (machine.root / "10/stat").write_bytes(b"10 (\xff\x1b) S " + b"0 " * 18 + b"1 0\n")
    assert machine.find(7) == {7: [(10, "\udcff\x1b", 0)]}


def test_who_holds_a_socket_may_be_out_of_sight(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.process(10, "nc", "socket:[7]")
    assert 8 not in machine.find(7, 8)
    assert machine.owners.hidden == "no process that can be seen here holds it"
    machine.process(11, "nc", "socket:[8]")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    machine.find(7, 8, 9)
    assert machine.owners.hidden == "2 processes could not be read"


def test_what_a_scout_has_read_is_not_read_again(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]", "socket:[90000]")
    machine.process(11, "nc", "socket:[8]")
    machine.owners.preload(list(iter_processes(str(machine.root))))
    assert machine.find(7, 8) == {7: [(10, "nc", 0)], 8: [(11, "nc", 0)]}
    assert not machine.reads
    machine.now = 1.0
    assert machine.find(7, 8) == {7: [(10, "nc", 0)], 8: [(11, "nc", 0)]}
    assert not machine.reads


def test_a_socket_that_is_newer_than_what_was_prefetched_is_looked_for(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[7]", "/dev/null")
    machine.owners.preload(list(iter_processes(str(machine.root))))
    machine.process(10, "nc", "socket:[7]", "socket:[12]")  # as many descriptors as before
    assert machine.find(7, 12) == {7: [(10, "nc", 0)], 12: [(10, "nc", 1)]}


def test_an_old_socket_whose_holder_is_out_of_sight_costs_no_second_look(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[1000000]")
    machine.owners.preload(list(iter_processes(str(machine.root))))
    assert machine.find(7, 1000000) == {1000000: [(10, "nc", 0)]}
    assert not machine.reads


def test_a_process_that_began_after_what_was_prefetched_is_read(machine: Machine) -> None:
    machine.process(10, "nc", "socket:[1000000]")
    machine.owners.preload(list(iter_processes(str(machine.root))))
    machine.process(11, "nc", "socket:[7]")
    assert machine.find(7, 1000000) == {7: [(11, "nc", 0)], 1000000: [(10, "nc", 0)]}
    assert machine.reads == [11]


# Names in full, and command lines.


def described(machine: Machine, *inodes: int) -> list[tuple[str | None, str | None]]:
    found = machine.owners.find(inodes, [machine.cookies.get(inode, inode) for inode in inodes])
    return [(owner.program, owner.command) for inode in inodes for owner in found[inode]]


@pytest.mark.parametrize(
    ("program", "command", "name"),
    [
        ("systemd-resolve", b"/lib/systemd/systemd-resolved\0", "systemd-resolved"),
        ("systemd-resolve", b"systemd-resolve\0", "systemd-resolve"),
        ("a-long-script-n", b"/usr/bin/env\0-S\0python3\0/srv/a-long-script-name.py\0-v\0", "a-long-script-name.py"),
        ("a-long-script-n", b"python3\0other.py\0", "a-long-script-n"),
        ("gunicorn: worke", b"gunicorn: worker [app]\0\0\0", "gunicorn: worker [app]"),
        ("aaaaaaaaaaaaaaa", b"a" * 5000 + b"\0", "a" * 255),
        ("aaaaaaaaaaaaa\udcc3", "aaaaaaaaaaaaaé-x\0".encode(), "aaaaaaaaaaaaa\udcc3"),
        ("aaaaaaaaaaaaaa\udcc3", "aaaaaaaaaaaaaaé-x\0".encode(), "aaaaaaaaaaaaaaé-x"),
        ("kworker/0:1-eve", b"", "kworker/0:1-eve"),
        ("nc", b"/usr/bin/ncat\0", "nc"),
    ],
)
def test_a_name_that_the_kernel_has_cut(machine: Machine, program: str, command: bytes, name: str) -> None:
    machine.process(10, "x", "socket:[7]")
    (machine.root / "10/stat").write_bytes(os.fsencode(f"10 ({program}) S {'0 ' * 16}1 0 1 0 0\n"))
    (machine.root / "10/cmdline").write_bytes(command)
    assert described(machine, 7) == [(name, None)]


def test_the_file_of_a_program_that_hides_its_name(machine: Machine) -> None:
    machine.process(10, "a-program-with-", "socket:[7]")
    (machine.root / "10/cmdline").write_bytes(b"-sh\0")
    (machine.root / "10/exe").symlink_to("/usr/bin/a-program-with-a-name (deleted)")
    assert described(machine, 7) == [("a-program-with-a-name", None)]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (b"nc\0-l\0a b\0\0x\0", "nc -l a b  x"),
        (b"nginx: master process /usr/sbin/nginx\0\0\0\0", "nginx: master process /usr/sbin/nginx"),
        (b"\xff\n\0", "\udcff\n"),
        (b"a" * 4096, "a" * 4096),
        (b"a" * 4097, "a" * 4096 + "…"),
        (b"a" * 4094 + "€".encode() + b"b", "a" * 4094 + "…"),
        (b"", None),
        (None, None),
    ],
)
def test_a_command_line(tmp_path: Path, machine: Machine, command: bytes | None, shown: str | None) -> None:
    owners = machine.owners = OwnerFinder(proc=str(tmp_path), commands=True)
    machine.process(10, "nc", "socket:[7]")
    if command is not None:
        (machine.root / "10/cmdline").write_bytes(command)
    assert described(machine, 7) == [("nc", shown)]
    assert owners.no_commands == "the process has ended, or it has no command line"
    assert OwnerFinder().no_commands == "not looked up"


def test_only_owners_are_described_and_only_where_it_is_asked_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def command_line(folder: str) -> str:
        read.append(os.path.basename(folder))
        return "x"

    monkeypatch.setattr(module, "command_line", command_line)
    monkeypatch.setattr(module, "full_name", lambda folder, program: command_line(folder) + program)
    machine.process(10, "nc", "socket:[7]", "socket:[8]")
    machine.process(11, "systemd-resolve", "socket:[9]")
    assert described(machine, 7) == [("nc", None)]
    assert read == []
    machine.owners = OwnerFinder(proc=str(machine.root), commands=True)
    assert described(machine, 7, 8) == [("nc", "x")] * 2
    assert read == ["10"]


def test_a_command_line_that_changes(machine: Machine) -> None:
    """With the name, as exec(2) changes both; and alone, as a program may do: that is seen when it is read again."""
    machine.owners = OwnerFinder(proc=str(machine.root), commands=True, max_age_s=5, clock=lambda: machine.now)
    machine.process(10, "sh", "socket:[7]")
    (machine.root / "10/cmdline").write_bytes(b"sh\0")
    assert described(machine, 7) == [("sh", "sh")]
    (machine.root / "10/stat").write_text(f"10 (nc) S {'0 ' * 16}1 0 1 0 0\n")
    (machine.root / "10/cmdline").write_bytes(b"nc\0")
    assert described(machine, 7) == [("nc", "nc")]
    (machine.root / "10/cmdline").write_bytes(b"nc: idle\0")
    assert described(machine, 7) == [("nc", "nc")]
    machine.now = 5
    assert described(machine, 7) == [("nc", "nc: idle")]


def test_a_number_that_another_process_has_by_now(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line of the new process is not that of the owner."""
    machine.owners = OwnerFinder(proc=str(machine.root), commands=True)
    machine.process(10, "nc", "socket:[7]", started=1)
    read = procfs_socket_fds

    def replaced(process: ProcessIdentity, descriptors: int) -> list[tuple[int, int]] | None:
        found = read(process, descriptors)
        machine.process(10, "nc", started=2)
        (machine.root / "10/cmdline").write_bytes(b"another\0")
        return found

    monkeypatch.setattr(module, "socket_fds", replaced)
    assert described(machine, 7) == [("nc", None)]


def test_a_socket_that_is_passed_on_is_found_though_its_new_process_has_as_many_descriptors_as_before(
    machine: Machine,
) -> None:
    machine.process(10, "nc", "socket:[7]")
    machine.process(11, "taker", "pipe:[1]")
    assert machine.find(7) == {7: [(10, "nc", 0)]}
    machine.end(10)
    machine.process(11, "taker", "socket:[7]")
    assert machine.find(7) == {7: [(11, "taker", 0)]}
    machine.process(11, "taker", "pipe:[1]")
    assert machine.find(7) == {7: [(11, "taker", 0)]}  # not read again yet
