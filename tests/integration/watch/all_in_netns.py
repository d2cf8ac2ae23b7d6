"""Scenarios of ``--netns all``, in a network that nobody else is in: python -m integration.watch.all_in_netns SCENARIO

Beside it are the networks ``blue``, with an interface ``eth9`` and a listener on port 4444, and ``red``, with nothing.
"""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support import wait_until

import portside
from portside.kernel import all_netns
from portside.kernel.all_netns import FoundNamespace, FoundNamespaces, find_namespaces
from portside.kernel.filter import FilterError
from portside.kernel.netns import Namespace


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def watch(*arguments: str, status: int = 0) -> tuple[list[str], list[str]]:
    """The lines of standard output and of standard error, without what is said about processes of other users."""
    words = [sys.executable, "-m", "portside", "watch", "--netns", "all", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == status, done
    hidden = ("portside: the networks of ", "hint: this needs root", "processes could not be read")
    return done.stdout.splitlines(), [line for line in done.stderr.splitlines() if not line.startswith(hidden)]


@contextlib.contextmanager
def networks() -> Iterator[socket.socket]:
    """The networks, and a listener in this one."""
    run("mount", "-t", "tmpfs", "none", "/run")
    for name in ("blue", "red"):
        run("ip", "netns", "add", name)
    run("ip", "-n", "blue", "link", "set", "lo", "up")
    run("ip", "-n", "blue", "link", "add", "name", "eth9", "type", "bridge")
    with Namespace("blue") as blue:
        there = blue.run(partial(socket.create_server, ("127.0.0.1", 4444)))
    with there, socket.create_server(("127.0.0.1", 3333)) as here:
        yield here


def a_table_for_each() -> None:
    with networks():
        out, err = watch("--listening", "--no-processes")
        own, port, between, blue, there = out[0], out[2].split()[3], out[3], out[4], out[6].split()[3]
        assert (own.split()[0], port, between, blue, there) == (
            *("network", "127.0.0.1:3333", "", "network blue", "127.0.0.1:4444"),
        )
        assert len(out) == 7
        assert err[0].startswith(f"portside: {own}: in this network, since it began: ")
        lines = [json.loads(line) for line in watch("--listening", "--json")[0]]
        assert [(each["netns"], each["local"]) for each in lines] == [
            (own.split()[1], "127.0.0.1:3333"),
            ("blue", "127.0.0.1:4444"),
        ]
        assert [owner["pid"] for each in lines for owner in each["owners"]] == [os.getpid()] * 2
        out, _ = watch("--listening", "--summary", "sport = :4444")
        assert out[:2] == ["network blue", "Sockets: 1"]
        assert watch("--once", "sport >= :3333")[1] == ["portside: 2 listeners match too: -l shows listeners, -a both"]
        assert watch("--once", "sport = :5555")[0] == [
            "Proto Recv-Q Send-Q Local Address        Foreign Address      State       PID/Program"
        ]


def interfaces_that_only_some_have() -> None:
    with networks() as here, Namespace("blue") as blue:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        with blue.run(partial(socket.create_server, ("127.0.0.1", 4445))) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth9")

            def ports(text: str) -> list[str]:
                return [json.loads(line)["local"].rpartition(":")[2] for line in watch("-l", "--json", text)[0]]

            assert ports("dev = eth9") == ["4445"]
            assert ports("dev = lo") == ["3333"]
            assert sorted(ports("dev != eth9")) == ["3333", "4444"]
            assert ports("src 127.0.0.1%eth9") == ["4445"]
        _, err = watch("dev = eth7", status=2)
        assert err[0] == "portside: watch: no interface is called 'eth7'"
        _, err = watch("foo", status=2)
        assert err[0].startswith("portside: watch: nothing is called 'foo'")
        _, err = watch("--events", status=2)
        assert err[0] == "portside: watch: --events follows one network, and --netns all are several"


def kill_in_each() -> None:
    with networks() as here, Namespace("blue") as blue:
        out, err = watch("--kill", "state listening sport = :4444")
        assert (out[0], err) == ("network blue", ["portside: network blue: destroyed 1 socket"])
        _, err = watch("--kill", "state listening sport = :4444", status=1)
        assert err == ["portside: destroyed 0 sockets: none matches"]
        with socket.create_connection(here.getsockname()):
            pass
        again = blue.run(partial(socket.create_server, ("127.0.0.1", 4446)))
        with again:
            assert len(watch("--kill", "state listening")[1]) == 2


def each_once() -> None:
    """One with a name and processes; one of a process alone, and one whose name is the number of that process."""
    with networks(), contextlib.ExitStack() as stack:
        words = ["cat"]
        alone = stack.enter_context(subprocess.Popen(["unshare", "-n", *words], stdin=subprocess.PIPE))
        named = stack.enter_context(subprocess.Popen(["ip", "netns", "exec", "blue", *words], stdin=subprocess.PIPE))
        wait_until(lambda: len({inode_of(each.pid) for each in (alone, named)} - {inode_of("self")}) == 2, "both")
        found = find_namespaces()
        assert found.namespaces[0].own
        assert found.namespaces[0].path in ("/proc/self/ns/net", f"/proc/{found.namespaces[0].name}/ns/net")
        assert [each.name for each in found.namespaces[1:]] == ["blue", "red", str(alone.pid)]
        run("ip", "netns", "add", str(alone.pid))
        path = f"/proc/{alone.pid}/ns/net"
        assert {each.name for each in find_namespaces().namespaces[1:]} == {"blue", "red", str(alone.pid), path}
        assert FoundNamespace(path, path, own=False) in find_namespaces().namespaces
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(all_netns, "RUN", "/run/nothing")
            assert {each.path for each in find_namespaces().namespaces} > {path}


THREAD = """
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)

def enter():
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "unshare")
    print(threading.get_native_id(), flush=True)
    os.read(0, 1)
    os._exit(0)

threading.Thread(target=enter).start()
"""


def of_a_thread_alone() -> None:
    """A thread may be in another network than the process: setns(2), unshare(2)."""
    with networks(), _holder("") as (_, path):
        assert [each.name for each in find_namespaces().namespaces[1:]] == ["blue", "red", path]
        with Namespace(path) as there:
            assert there.run(lambda: os.stat("/proc/thread-self/ns/net").st_ino) == os.stat(path).st_ino


def of_a_process_whose_first_thread_has_ended() -> None:
    """The process is where its threads are that go on."""
    with networks(), _holder("libc.pthread_exit(None)") as (pid, path):
        wait_until(lambda: not os.path.exists(f"/proc/{pid}/ns/net"), "the end of the first thread")
        assert [each.name for each in find_namespaces().namespaces[1:]] == ["blue", "red", path]
        with Namespace(str(pid)) as there:
            assert there.run(lambda: os.stat("/proc/thread-self/ns/net").st_ino) == os.stat(path).st_ino


@contextlib.contextmanager
def _holder(then: str) -> Iterator[tuple[int, str]]:
    """A process with a thread in a network of its own: its number, and the file of that network."""
    words = [sys.executable, "-c", THREAD + then]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, f"/proc/{process.pid}/task/{int(process.stdout.readline())}/ns/net"
        process.communicate("", timeout=30)


def inode_of(process: int | str) -> int:
    return os.stat(f"/proc/{process}/ns/net").st_ino


def sockets_in_python() -> None:
    """Each socket says its namespace, by a name that ``netns`` takes; an interface is that of each namespace."""
    with networks() as here, Namespace("blue") as blue, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the networks of .* cannot be seen")  # processes of other users may run
        seen = portside.sockets(view="listening", netns="all")
        own = str(seen[0].netns)
        assert [(row.netns, row.local) for row in seen] == [(own, "127.0.0.1:3333"), ("blue", "127.0.0.1:4444")]
        assert [owner.pid for row in seen for owner in row.owners or ()] == [os.getpid()] * 2
        for row in seen:
            (again,) = portside.sockets(view="listening", netns=row.netns)
            assert again.local == row.local
            assert again.netns is None
        assert [row.netns for row in portside.sockets("sport = :4444", view="all", netns="all")] == ["blue"]
        with blue.run(partial(socket.create_server, ("127.0.0.1", 4445))) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth9")
            assert [row.netns for row in portside.sockets("dev = eth9", view="all", netns="all")] == ["blue"]
        with pytest.raises(FilterError, match="no interface is called 'eth7'"):
            portside.sockets("dev = eth7", netns="all")
        with pytest.raises(FilterError, match="nothing is called 'foo'"):
            portside.sockets("foo", netns="all")
        assert here.fileno() >= 0


def what_python_cannot_look_into() -> None:
    """Without rights over a namespace its sockets are missing, and a warning names it."""
    with networks():
        script = (
            "import portside, warnings\n"
            "with warnings.catch_warnings(record=True) as caught:\n"
            "    warnings.simplefilter('always')\n"
            "    print(*(row.local for row in portside.sockets(view='listening', netns='all')))\n"
            "print(*(f'{each.category.__name__} {each.message} {each.filename}' for each in caught), sep='\\n')\n"
        )
        words = ["unshare", "-U", sys.executable, "-c", script]
        out, *caught = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        assert out == "127.0.0.1:3333"
        for name in ("blue", "red"):
            (line,) = (each for each in caught if f"/run/netns/{name}'" in each)
            assert line.startswith("RuntimeWarning network namespace '/run/netns/")
            assert line.endswith(" <string>")  # where it was called


def what_has_gone_in_python() -> None:
    """A namespace that ends between the search and the look is named, where ``sockets`` was called."""
    with networks(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find_namespaces()
        gone = found.namespaces[1]._replace(path="/run/netns/gone")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("portside.app.sockets.find_namespaces", lambda: FoundNamespaces((*found.namespaces, gone), 0))
            portside.sockets(netns="all")
        (warning,) = caught
        assert "network namespace '/run/netns/gone'" in str(warning.message)
        assert warning.filename == __file__


def more_than_descriptors() -> None:
    """A machine with many containers: each network costs a descriptor while it is looked into."""
    with networks():
        for number in range(40):
            run("ip", "netns", "add", f"many{number}")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        script = "import portside; print(*(row.netns for row in portside.sockets(view='listening', netns='all')))"
        for words, last in (
            ((sys.executable, "-W", "error", "-W", "ignore:the networks of", "-c", script), "blue"),
            ((sys.executable, "-m", "portside", "watch", "-l", "--netns", "all"), ":4444"),
        ):
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard)),
            )
            assert last in done.stdout
            assert "many" not in done.stderr


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test
    for test in (
        a_table_for_each,
        interfaces_that_only_some_have,
        kill_in_each,
        sockets_in_python,
        what_python_cannot_look_into,
        what_has_gone_in_python,
        more_than_descriptors,
        each_once,
        of_a_thread_alone,
        of_a_process_whose_first_thread_has_ended,
    )
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
