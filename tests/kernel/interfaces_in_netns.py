"""Scenarios on interfaces: names and scopes in the namespace that is looked into: python -m kernel.interfaces_in_netns

Outside, ``eth0`` has the number 12 and ``eth1`` 13; inside it is the other way round, and there is a listener on
each: port 3101 on ``eth0``, 3102 on ``eth1``.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from netns import other_netns
from support import Program, wait_until

import portside
from portside.app.sort_order import Sort
from portside.kernel.filter import FilterError, parse
from portside.kernel.materialize import to_sockets
from portside.kernel.netns import Namespace, NamespaceError
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import snapshot
from portside.settings.watch import Watch
from portside.tui.poller import Poller

NETWORK = "/proc/thread-self/ns/net"


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def add_interfaces(**numbers: int) -> None:
    """Bridges with a link-local address: they need no other end."""
    for name, number in numbers.items():
        add_interface(name, number)


def add_interface(name: str, number: int, *addresses: str) -> None:
    run("ip", "link", "add", "name", name, "index", str(number), "type", "bridge")
    run("ip", "link", "set", name, "up")
    for address in addresses or ("fe80::aa/64",):
        run("ip", "addr", "add", address, "dev", name, "nodad")


def listen_on(name: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("fe80::aa", port, 0, socket.if_nametoindex(name)))
    listener.listen()
    return listener


def dial(name: str, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET6)
    target = ("fe80::aa", port, 0, socket.if_nametoindex(name))
    wait_until(lambda: client.connect_ex(target) == 0, "a route, which comes a little after the address")
    return client


@contextlib.contextmanager
def two_networks() -> Iterator[tuple[str, Namespace, list[socket.socket]]]:
    """The process number of the other network, the network, and its two listeners."""
    add_interfaces(eth0=12, eth1=13)
    with contextlib.ExitStack() as stack:
        pid = str(stack.enter_context(other_netns()).pid)
        namespace = stack.enter_context(Namespace(pid))
        namespace.run(partial(add_interfaces, eth1=12, eth0=13))
        listeners = [
            stack.enter_context(namespace.run(partial(listen_on, name, port)))
            for name, port in (("eth0", 3101), ("eth1", 3102))
        ]
        yield pid, namespace, listeners


def watch(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "portside", "watch", *words], capture_output=True, check=True)
    return done.stdout.decode()


def names_of_the_namespace() -> None:
    """A table, a summary, JSON, Python: by name, by scope and by number."""
    with two_networks() as (pid, _, _):
        on_eth0 = ["[fe80::aa%eth0]:3101"]
        for text in ("dev = eth0", "interface eth0", "src [fe80::aa%eth0]", "src fe80::aa%eth0:3101", "dev = 13"):
            for netns in (pid, f"/proc/{pid}/ns/net"):
                assert [row.local for row in portside.sockets(text, view="all", netns=netns)] == on_eth0, text
        assert portside.sockets("dev = eth0", view="all") == []
        rows = watch("--netns", pid, "--listening", "--once", "dev = eth0").splitlines()
        assert [row.split()[3] for row in rows[1:]] == on_eth0
        (line,) = watch("--netns", pid, "--listening", "--json", "dev != eth1").splitlines()
        assert json.loads(line)["info"]["interface"] == "eth0"
        assert watch("--netns", pid, "--listening", "--summary", "dev = eth0").startswith("Sockets: 1\n")
        with pytest.raises(FilterError, match="no interface is called 'eth7'"):
            portside.sockets("dev = eth7", netns=pid)


def kill_by_name() -> None:
    """Destroys what is on the interface of that name there, and nothing on the one that has our number of it."""
    with two_networks() as (pid, namespace, listeners), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(namespace.run(partial(dial, *end))) for end in (("eth0", 3101), ("eth1", 3102))]
        accepted = [stack.enter_context(each.accept()[0]) for each in listeners]
        killed = watch("--netns", pid, "--kill", "--json", "state established dev = eth0 sport = :3101")
        assert [json.loads(line)["local"] for line in killed.splitlines()] == ["[fe80::aa%eth0]:3101"]
        with pytest.raises(ConnectionAbortedError):
            accepted[0].recv(1)
        clients[1].sendall(b"alive")
        assert accepted[1].recv(5) == b"alive"
        watch("--netns", pid, "--kill", "state listening dev = eth0")
        left = portside.sockets(view="listening", netns=pid)
        assert [row.local for row in left] == ["[fe80::aa%eth1]:3102"]


def events_by_name() -> None:
    """Also of connections so short that no snapshot shows them: they are written with the name of their interface."""
    with two_networks() as (pid, namespace, listeners):
        program = Program("watch", "--events", "--netns", pid, "--interval", "1h", "dev = eth0")
        try:
            program.wait_for("^Time ")
            for (name, port), listener in zip((("eth1", 3102), ("eth0", 3101)), listeners[::-1], strict=True):
                with namespace.run(partial(dial, name, port)), listener.accept()[0]:
                    pass
            program.wait_for("closed  ", count=2)
            program.signal(2)
            assert program.wait() == 0
        finally:
            program.kill()
        shown = program.out.decode()
        assert "[fe80::aa%eth0]:3101" in shown
        assert "3102" not in shown


def live_filter_by_name() -> None:
    with two_networks() as (pid, _, _), contextlib.ExitStack() as stack:
        poller = Poller(Watch(netns=pid, all=True, filter=("dev = eth1",)), Sort())
        stack.callback(poller.close)
        assert [row.local for row in to_sockets(poller.poll().live.table)] == ["[fe80::aa%eth1]:3102"]
        poller.set_filter(poller.parse_filter("dev = eth0"))
        assert [row.local for row in to_sockets(poller.poll().live.table)] == ["[fe80::aa%eth0]:3101"]
    with pytest.raises(NamespaceError):
        Poller(Watch(netns="nosuch", filter=("dev = eth0",)), Sort())


def hosts_with_a_scope() -> None:
    """A host whose address has a scope, as mDNS finds it: the interface of that name there."""
    with two_networks() as (_, namespace, _), pytest.MonkeyPatch.context() as patch:
        found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::aa", 0, 0, 12))]
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        here, there = (parse("src near", SystemResolver(each)) for each in (None, namespace))
        assert here == parse("src fe80::aa%12")
        assert there == parse("src fe80::aa%13")
        run("ip", "link", "add", "name", "ours", "index", "99", "type", "bridge")
        found[0] = (*found[0][:4], ("fe80::aa", 0, 0, 99))
        with pytest.raises(FilterError, match="no interface is called 'ours'"):
            parse("src near", SystemResolver(namespace))
        run("ip", "link", "del", "ours")
        with pytest.raises(FilterError, match="no interface has the number 99"):
            parse("src near", SystemResolver(namespace))


def names_before_numbers() -> None:
    """Interfaces called ``12`` and ``6in4-wan``, and a namespace called by a number."""
    add_interface("6in4-wan", 20)
    add_interface("12", 21, "fe80::bb/64", "fe80::aa/64")
    add_interface("plain", 12)
    names = ("6in4-wan", "12", "plain")
    with contextlib.ExitStack() as stack:
        for name, port in zip(names, (3201, 3202, 3203), strict=True):
            stack.enter_context(listen_on(name, port))
        for name, port in zip(names, (3201, 3202, 3203), strict=True):
            for text in (f"dev = {name}", f"src [fe80::aa%{name}]", f"src fe80::aa%{name}"):
                seen = [row.local for row in portside.sockets(text, view="all")]
                assert seen == [f"[fe80::aa%{name}]:{port}"], text
        assert len(snapshot("dev = 20", view="all").table) == 1
    run("mount", "-t", "tmpfs", "none", "/run")
    number = str(os.getpid())
    run("ip", "netns", "add", number)
    with Namespace(number) as called, Namespace(f"/proc/{number}/ns/net") as of_process:
        assert called.run(partial(os.readlink, NETWORK)) != os.readlink(NETWORK)
        assert of_process.run(partial(os.readlink, NETWORK)) == os.readlink(NETWORK)


SCENARIOS: dict[str, Callable[[], None]] = {
    test.__name__: test
    for test in (
        names_of_the_namespace,
        kill_by_name,
        events_by_name,
        live_filter_by_name,
        hosts_with_a_scope,
        names_before_numbers,
    )
}


if __name__ == "__main__":
    globals()[sys.argv[1]]()
