"""A real nats-server with JetStream on loopback, its files under ``tmp_path``: started, killed, started again."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from support import DEADLINE_S, free_port, wait_until

_BESIDE_PYTHON = str(Path(sys.executable).with_name("nats-server"))
NATS_SERVER = _BESIDE_PYTHON if Path(_BESIDE_PYTHON).exists() else (shutil.which("nats-server") or "nats-server")


class NatsServer:
    """One server. ``more`` is put into its configuration as it is (authorization, TLS, cluster).

    ``limits`` is put where those of JetStream are. ``kill`` is SIGKILL; ``start`` starts it again on the same port and
    with the same files.
    """

    def __init__(self, folder: Path, more: str = "", *, host: str = "127.0.0.1", name: str = "broker") -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.host = host
        self.port = free_port()
        self.name = name
        self.store = self.folder / "store"
        self.log = self.folder / "log"
        self.more = more
        self.limits = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://{self.host}:{self.port}"

    def start(self, *, is_awaited: bool = True) -> "NatsServer":
        """Start it; with ``is_awaited`` until clients can connect and JetStream answers."""
        config = self.folder / "nats.conf"
        config.write_text(
            f'server_name: "{self.name}"\nlisten: "{self.host}:{self.port}"\nlog_file: "{self.log}"\n'
            f'jetstream {{ store_dir: "{self.store}"\n{self.limits} }}\n{self.more}\n'
        )
        self.process = subprocess.Popen([NATS_SERVER, "-c", str(config)], stderr=subprocess.DEVNULL)
        if is_awaited:
            wait_until(self._is_ready, f"{self.name} to be ready: {self._said()}")
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._said()
        try:
            with socket.create_connection((self.host, self.port), 5):
                return "Server is ready" in self._said()
        except OSError:
            return False

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def kill(self) -> None:
        """Kill it, as a machine that loses its power; its log begins anew."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in order; may be called again."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.unlink(missing_ok=True)


def cluster(folder: Path, size: int = 3) -> list[NatsServer]:
    """Servers of one cluster, started; a stream of them may have as many replicas."""
    routes = [free_port() for _ in range(size)]
    urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    servers = [
        NatsServer(
            folder, f'cluster {{ name: "fleet", listen: "127.0.0.1:{port}", routes: [{urls}] }}', name=f"broker{number}"
        )
        for number, port in enumerate(routes, 1)
    ]
    for each in servers:
        each.start(is_awaited=False)
    return servers
