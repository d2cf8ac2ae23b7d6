"""Programs that no rule was written against, each in namespaces of its own, and what ``diagnose`` says of them.

``python -m integration.diagnose.strange_in_netns NAME`` exits with an error where it does not name the program, or says
anything else above *info*.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from integration.diagnose.found_in_netns import LOOKS, diagnose
from support import Program, wait_until

PROGRAMS = Path(__file__).with_name("strangers.py")
PORT, UPSTREAM_PORT = 8000, 8001
SOON = [
    word
    for each in ("close-wait-leak.age=1s", "receiver-slow.still=2s", "peer-vanished.silence=2s")
    for word in ("--set", each)
]
"""Thresholds of conditions that take their own time."""


class Found(NamedTuple):
    """What is to be found: the code, and the process of its subject; ``severity`` is at least that."""

    code: str
    pid: int | None
    end: str = f"127.0.0.1:{PORT}"
    severity: str = "warning"


class Scene(contextlib.ExitStack):
    """The programs of one scenario, which end with it."""

    def stranger(self, name: str, port: int = PORT, *, until_ready: bool = True) -> int:
        """Start a program of ``strangers.py``, and wait until it is ready; its process."""
        made = Program(name, str(port), command=(sys.executable, str(PROGRAMS)), stdin=subprocess.PIPE)
        self.callback(made.kill)
        if until_ready:
            made.wait_for(r"ready \d+")
        return made.process.pid

    def run(self, *words: str, stdin: int = subprocess.DEVNULL) -> int:
        """Start a program of others; its process."""
        made = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.enter_context(made)
        self.callback(made.kill)
        return made.pid

    def folder(self) -> Path:
        return Path(self.enter_context(TemporaryDirectory()))

    def stop(self, pid: int) -> None:
        """Stop a process, as Ctrl-Z does."""
        os.kill(pid, signal.SIGSTOP)
        self.callback(os.kill, pid, signal.SIGCONT)


def listens(port: int = PORT) -> None:
    """Wait until somebody listens on a port."""
    wait_until(lambda: f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text(), f"a listener on {port}")


def in_state(state: str, count: int) -> None:
    """Wait until there are so many sockets in a state."""
    words = ["ss", "-tanH", "state", state]
    wait_until(lambda: subprocess.check_output(words).count(b"\n") >= count, f"{count} in {state}")


def set_ports(first: int, last: int) -> None:
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{first} {last}")


def never_closes(scene: Scene) -> Found:
    pid = scene.stranger("never_closes")
    scene.stranger("come_and_go")
    in_state("close-wait", 20)
    return Found("close-wait-leak", pid)


def socat_never_closes(scene: Scene) -> Found:
    """A process for each client, which waits for its own program after the client has gone."""
    scene.run("socat", "-t", "1000", f"TCP-LISTEN:{PORT},fork,reuseaddr", "EXEC:sleep 1000")
    listens()
    scene.stranger("hang_up")
    in_state("close-wait", 12)
    users = subprocess.check_output(["ss", "-tnpH", "state", "close-wait"], text=True)
    return Found("close-wait-leak", min(int(word.split(",")[0]) for word in users.split("pid=")[1:]))


def stops_accepting(scene: Scene) -> Found:
    pid = scene.stranger("stops_accepting")
    scene.stranger("few")
    return Found("accept-queue-overflow", pid)


def stuck_handler(scene: Scene) -> Found:
    pid = scene.stranger("stuck_handler")
    scene.stranger("few")
    return Found("accept-queue-overflow", pid)


def stopped_server(scene: Scene) -> Found:
    pid = scene.run("socat", f"TCP-LISTEN:{PORT},bind=127.0.0.1,fork,backlog=5", "EXEC:cat")
    listens()
    scene.stranger("come_and_go")
    scene.stop(pid)
    scene.stranger("few")
    return Found("accept-queue-overflow", pid)


def stopped_nc(scene: Scene) -> Found:
    """A download whose client was stopped with Ctrl-Z: that the server cannot go on is no finding of its own."""
    scene.stranger("endless_download")
    pid = scene.run("nc", "127.0.0.1", str(PORT))
    in_state("established", 2)
    scene.stop(pid)
    return Found("receiver-slow", pid)


def ncat_to_full_pipe(scene: Scene) -> Found:
    """A reader that cannot read: nobody takes its own output."""
    scene.stranger("endless_download")
    pid = scene.run("ncat", "--recv-only", "127.0.0.1", str(PORT))
    return Found("receiver-slow", pid)


def takes_all_ports(scene: Scene) -> Found:
    set_ports(40000, 40099)
    scene.stranger("silent_upstream")
    pid = scene.stranger("takes_all_ports")
    return Found("port-exhaustion", pid, severity="critical")


def short_connections(scene: Scene) -> Found:
    """Most of its ports are those of connections in TIME_WAIT, which no process has any more."""
    set_ports(40000, 40099)
    Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("0")  # as between two machines
    scene.stranger("echoes")
    pid = scene.stranger("short_connections")
    return Found("port-exhaustion", pid, severity="critical")


def leaks_connections(scene: Scene) -> Found:
    scene.stranger("silent_upstream")
    pid = scene.stranger("leaks_connections")
    return Found("descriptors-near", pid, end="", severity="critical")


def firewall_before_connect(scene: Scene) -> Found:
    scene.stranger("silent_upstream")
    drop("input", f"tcp dport {PORT}")
    pid = scene.run("nc", "127.0.0.1", str(PORT))
    return Found("connect-blackhole", pid)


def firewall_after_connect(scene: Scene) -> Found:
    scene.stranger("silent_upstream")
    scene.stranger("polite_then_silent")
    in_state("established", 2)
    drop("input", f"tcp dport {PORT}")
    return Found("peer-vanished", None, end="127.0.0.1")


def drop(where: str, what: str) -> None:
    script = f"add table ip f; add chain ip f c {{ type filter hook {where} priority 0; }}; add rule ip f c {what} drop"
    subprocess.run(["nft", script], check=True)


def haproxy(scene: Scene) -> Found:
    """HAProxy takes as many clients as it may, and none any more while its server does not answer."""
    scene.stranger("silent_upstream", UPSTREAM_PORT)
    config = scene.folder() / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"frontend it\n  bind 127.0.0.1:{PORT}\n  maxconn 5\n  backlog 16\n  default_backend they\n"
        f"backend they\n  server one 127.0.0.1:{UPSTREAM_PORT}\n"
    )
    pid = scene.run("haproxy", "-db", "-q", "-f", str(config))
    listens()
    scene.stranger("crowd")
    return Found("accept-queue-overflow", pid)


def nginx(scene: Scene) -> tuple[int, int]:
    """nginx with one worker in front of a server that never answers; its master, and its worker."""
    folder = scene.folder()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log; user root;\n"
        "events { worker_connections 20; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2;\n"
        f"fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;\n"
        f"server {{ listen 127.0.0.1:{PORT} backlog=4;\n"
        f"location / {{ proxy_pass http://127.0.0.1:{UPSTREAM_PORT}; }} }} }}\n"
    )
    pid = scene.run("nginx", "-c", str(config))
    listens()
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return pid, int(wait_until(children.read_text, "a worker"))


def nginx_stopped_worker(scene: Scene) -> Found:
    scene.stranger("silent_upstream", UPSTREAM_PORT)
    pid, worker = nginx(scene)
    scene.stop(worker)
    scene.stranger("crowd")
    return Found("accept-queue-overflow", pid)


STRANGERS: dict[str, Callable[[Scene], Found]] = {
    each.__name__: each
    for each in (
        never_closes, socat_never_closes, stops_accepting, stuck_handler, stopped_server, stopped_nc, ncat_to_full_pipe,
        takes_all_ports, short_connections, leaks_connections, firewall_before_connect, firewall_after_connect, haproxy,
        nginx_stopped_worker,
    )
}  # fmt: skip


def main(name: str) -> None:
    """Make a scenario, and look at it."""
    with Scene() as scene:
        expected = STRANGERS[name](scene)
        for _ in range(LOOKS):
            found = diagnose("--for", "4s", *SOON, "--min-severity", "warning")
            if any(each["severity"] in (expected.severity, "critical") for each in found):
                break
        assert len(found) == 1, found
        finding = found[0]
        subject = finding["subject"]
        assert (finding["code"], subject.get("pid")) == (expected.code, expected.pid), finding
        assert not expected.end or expected.end in (subject.get("local"), subject.get("remote")), finding
        assert finding["severity"] in (expected.severity, "critical"), finding


if __name__ == "__main__":
    main(sys.argv[1])
