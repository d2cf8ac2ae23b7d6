"""Scenarios of three machines, each a network namespace, and a fourth one with nats-server.

    front ── middle ── back        10.8.1.1 ── 10.8.1.2, 10.8.2.1 ── 10.8.2.2
      └─────── hub ──────┘         each by a link of its own: 10.7.1.1, 10.7.2.1 and 10.7.3.1 are the hub's ends

A server listens on ``back``; what clients on ``front`` send goes to it by ``portside listen --forward`` on ``middle``.
"""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fleet_stream import closed_in_stream
from nats_server import NatsServer
from netns import other_netns
from support import Program, wait_until

MACHINES = ("front", "middle", "back")
SERVER, FORWARD = "10.8.2.2:9000", "10.8.1.2:8000"
LINKS = (
    ("front", "10.8.1.1", "middle", "10.8.1.2"),
    ("middle", "10.8.2.1", "back", "10.8.2.2"),
    ("hub", "10.7.1.1", "front", "10.7.1.2"),
    ("hub", "10.7.2.1", "middle", "10.7.2.2"),
    ("hub", "10.7.3.1", "back", "10.7.3.2"),
)
LATEST_S = 90.0
_EVERY_SECOND = "from portside.fleet.agent import node; node.EVERY_S = 1.0\nfrom portside.cli import main\nmain()"
"""An agent that gives a sign of life each second, so that nobody has to wait for what becomes of it."""


class Machines:
    """The namespaces, the links between them, and the broker; what is started ends with ``stack``."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._pids = {name: stack.enter_context(other_netns()).pid for name in MACHINES}
        for nth, (one, address, other, other_address) in enumerate(LINKS):
            self._ip("hub", f"link add one{nth} type veth peer name two{nth}")
            for name, device, its in ((one, f"one{nth}", address), (other, f"two{nth}", other_address)):
                if name != "hub":
                    self._ip("hub", f"link set {device} netns {self._pids[name]}")
                self._ip(name, f"addr add {its}/24 dev {device}")
                self._ip(name, f"link set {device} up")
        self.broker = NatsServer(folder, host="0.0.0.0")
        stack.callback(self.broker.stop)
        self.broker.start()
        self.url = f"nats://127.0.0.1:{self.broker.port}"
        done = self._stack.enter_context(self.started("hub", "fleet", "init", "--nats", self.url))
        assert done.wait() == 0, done.err

    @contextlib.contextmanager
    def started(self, machine: str, *words: str, python: tuple[str, ...] = ("-m", "portside")) -> Iterator[Program]:
        """``portside`` on a machine, until the end of the ``with``."""
        runtime = self.folder / machine
        runtime.mkdir(mode=0o700, exist_ok=True)
        program = Program(
            *words, command=(*self._on(machine), sys.executable, *python), env={"XDG_RUNTIME_DIR": str(runtime)}
        )
        try:
            yield program
        finally:
            program.kill()

    def start(self, machine: str, *words: str, python: tuple[str, ...] = ("-m", "portside")) -> Program:
        """``portside`` on a machine, until the end of all."""
        return self._stack.enter_context(self.started(machine, *words, python=python))

    def agent(self, machine: str, *, node: str = "", python: tuple[str, ...] = ("-m", "portside")) -> Program:
        """An agent of a machine, once it publishes."""
        url = f"nats://10.7.{1 + MACHINES.index(machine)}.1:{self.broker.port}"
        node = node or machine
        outbox = tempfile.mkdtemp(dir=self.folder)
        words = ("agent", "--nats", url, "--node", node, "--outbox", outbox, "--interval", "500ms")
        agent = self.start(machine, *words, python=python)
        agent.wait_for("publishes to", err=True)
        return agent

    def ask(self, *words: str) -> list[dict[str, Any]]:
        """The rows of a ``portside fleet`` command."""
        with self.started("hub", "fleet", *words, "--nats", self.url, "--json") as program:
            assert program.wait() == 0, program.err
            return program.events

    def wait(self, words: tuple[str, ...], is_there: Callable[[list[dict[str, Any]]], Any]) -> Any:
        """Ask until what is asked for is there; its value."""
        last: list[list[dict[str, Any]]] = [[]]

        def look() -> Any:
            last[0] = self.ask(*words)
            return is_there(last[0])

        try:
            return wait_until(look, f"fleet {' '.join(words)}", LATEST_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last was {json.dumps(last[0])[:4000]}") from None

    def _on(self, machine: str) -> tuple[str, ...]:
        return () if machine == "hub" else ("nsenter", f"--net=/proc/{self._pids[machine]}/ns/net", "--")

    def _ip(self, machine: str, words: str) -> None:
        subprocess.run([*self._on(machine), "ip", *words.split()], check=True)


@contextlib.contextmanager
def three_machines() -> Iterator[Machines]:
    """The machines, with the server, what forwards to it, and an agent on each."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        machines = Machines(Path(folder), stack)
        yield machines


def watched() -> None:
    """Connections over two hops are joined, also where a reader stops; a condition comes and goes."""
    with three_machines() as machines:
        for each in MACHINES:
            machines.agent(each)
        server = machines.start("back", "listen", SERVER, "--echo")
        assert server.port
        assert machines.start("middle", "listen", FORWARD, "--forward", SERVER).port
        load = ("load", FORWARD, "-c", "3", "--rate", "30/s", "--pipeline", "9", "-d", "10m")
        machines.start("front", *load, "--workers", "1", "--message", "random:20000")

        def hops(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
            """The rows with both ends, as ends by node; of each hop three."""
            found = [{end["node"]: end["socket"] for end in row["ends"]} for row in rows if len(row["ends"]) == 2]
            by_hop = [[ends for ends in found if set(ends) == set(pair)] for pair in (MACHINES[:2], MACHINES[1:])]
            return by_hop if all(len(each) == 3 for each in by_hop) else []

        first, second = machines.wait(("connections",), hops)
        assert {ends["middle"]["local"] for ends in first} == {FORWARD}
        assert {ends["back"]["local"] for ends in second} == {SERVER}
        assert {ends["front"]["remote"] for ends in first} == {FORWARD}

        server.signal(signal.SIGSTOP)  # it reads no more: what is sent waits in its queues

        def waiting(rows: list[dict[str, Any]]) -> bool:
            by_hop = hops(rows)
            return bool(by_hop) and all(ends["back"]["recv_q"] >= 20_000 for ends in by_hop[1])

        machines.wait(("connections",), waiting)
        rows = machines.ask("connections", "recvq >= 20000 and sport = :9000")
        assert [{end["node"] for end in row["ends"]} for row in rows] == [{"middle", "back"}] * 3
        server.signal(signal.SIGCONT)

        code = "accept-queue-overflow"
        with machines.started("back", "lab", code) as lab:
            lab.wait_for("There after")
            (found,) = machines.wait(("findings",), lambda rows: [each for each in rows if each["code"] == code])
            assert [each["node"] for each in found["nodes"]] == ["back"]
            lab.stop()
        machines.wait(("findings",), lambda rows: not [each for each in rows if each["code"] == code])


def named_alike() -> None:
    """Two agents with one name are told apart; one that is killed is late and then gone."""
    with three_machines() as machines:
        machines.agent("middle", python=("-c", _EVERY_SECOND))
        double = machines.agent("front", node="middle", python=("-c", _EVERY_SECOND))
        machines.wait(("nodes",), lambda rows: [row for row in rows if row["agents"] == 2])
        with machines.started("hub", "fleet", "nodes", "--nats", machines.url) as shown:
            assert shown.wait() == 0
            assert "2 agents use this name" in shown.out.decode()
        double.signal(signal.SIGTERM)
        assert double.wait() == 0, double.err
        (node,) = machines.wait(("nodes",), lambda rows: [row for row in rows if row["agents"] == 1])
        assert node["node"] == "middle"

        lost = machines.agent("back", python=("-c", _EVERY_SECOND))
        machines.wait(("nodes", "--node", "back"), lambda rows: [row for row in rows if row["state"] == "alive"])
        with machines.started("hub", "fleet", "nodes", "--follow", "--nats", machines.url, "--json") as told:
            told.wait_for('"node":"back".*"state":"alive"')
            lost.signal(signal.SIGKILL)
            told.wait_for('"node":"back".*"state":"late"')
            told.wait_for('"node":"back".*"state":"gone"')
            assert told.stop() == 0
        states = [row["state"] for row in told.events if row.get("node") == "back" and "state" in row]
        assert states.index("late") < states.index("gone")
        assert not any(row["ended"] for row in told.events if row.get("node") == "back" and "state" in row)


def broker_killed() -> None:
    """The broker is killed under load and comes back: each connection that was made has closed once in the stream."""
    with three_machines() as machines:
        agents = {each: machines.agent(each) for each in MACHINES}
        assert machines.start("back", "listen", SERVER, "--echo").port
        assert machines.start("middle", "listen", FORWARD, "--forward", SERVER).port
        machines.wait(("nodes",), lambda rows: len(rows) == 3)
        load = machines.start(
            "front", "load", FORWARD, "--per-connection", "1", "-c", "4", "--rate", "50/s", "-n", "600", "--workers",
            "1", "--json",
        )  # fmt: skip
        wait_until(lambda: _counts(machines), "the first connections to be in the stream", LATEST_S)
        before = _counts(machines)
        machines.broker.kill()
        for each in agents.values():
            each.wait_for("cannot publish to", err=True)
        machines.broker.start()
        assert load.wait(LATEST_S) == 0, load.err
        (said,) = load.events
        assert said["replies"] == said["sent"] == 600
        expected = {("front", FORWARD): said["opened"], ("middle", FORWARD): said["opened"]}
        # What forwards has connected once for each client.
        expected |= {("middle", SERVER): said["opened"], ("back", SERVER): said["opened"]}
        assert sum(before.values()) < sum(expected.values()), "it was killed under load"
        wait_until(lambda: _counts(machines) == expected, f"{expected}, not {_counts(machines)}", LATEST_S)
        for each in agents.values():
            each.signal(signal.SIGTERM)
        for each in agents.values():
            assert each.wait() == 0, each.err
        assert _counts(machines) == expected


def _counts(machines: Machines) -> dict[tuple[str, str], int]:
    """How many connections have closed in the stream, by node and by the server's address; each is there once."""
    closed = closed_in_stream(machines.url)
    found: Counter[tuple[str, str]] = Counter()
    seen = set()
    for node, record in closed:
        ends = record.socket.local, record.socket.remote
        for server in (SERVER, FORWARD):
            if server in ends:
                assert (node, ends) not in seen, f"{node} has {ends} twice"
                seen.add((node, ends))
                found[node, server] += 1
    return dict(found)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
