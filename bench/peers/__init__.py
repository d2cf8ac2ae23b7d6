"""The servers and clients that are compared, each started as its user would start it."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.build import compiled

PORTSIDE = os.path.join(os.path.dirname(sys.executable), "portside")


# A developer's settings for Python (no buffering, no bytecode) are nobody's server's.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
LINE = b"Q" * 63 + b"\n"  # what the load sends


@dataclass(frozen=True)
class Peer:
    """A server, and how it is started, read and stopped."""

    name: str
    command: Callable[[int], list[str]]
    """Its arguments, from the port."""
    output: str = "file"
    """Where its standard output goes: file or null."""
    row: bytes = b""
    """What each line of the load must be in its output, where a line is a row of its own."""
    stop_signal: signal.Signals = signal.SIGTERM
    loses_some: bool = False
    """Whether lines may be missing in its output."""


def portside(*options: str, row: bytes = b"", output: str = "file") -> Peer:
    """`portside listen` with some options."""
    return Peer("portside", lambda port: [PORTSIDE, "listen", f"127.0.0.1:{port}", *options], output, row)


def reference(mode: str, row: bytes = b"", output: str = "file") -> Peer:
    """The C reference: `log`, `sink` or `echo`."""
    return Peer(f"C {mode}", lambda port: [compiled("reference"), mode, str(port)], output, row)


TEXT = portside("--format", "text", row=b"> " + LINE)
TEXT_WEB = portside("--format", "text", "--web", row=TEXT.row)
JSON = portside("--format", "json")
JSON_LINES = portside("--format", "json", "--frame", "lines", row=b'"size":64,"text":"' + LINE[:-1] + b'\\n"}\n')
C_LOG = reference("log", row=b"> " + LINE)
TUTORIAL = Peer(
    "tutorial",
    lambda port: [sys.executable, os.fspath(Path(__file__).parent / "tutorial.py"), str(port)],
    # It ends in order on Ctrl-C alone, and only then is all that it printed in the file.
    stop_signal=signal.SIGINT,
    # Its threads print into one buffer, and what two of them print at once is not always all there.
    loses_some=True,
)
NCAT = Peer("ncat -lk", lambda port: ["ncat", "-lk", "127.0.0.1", str(port)], row=LINE)
NC = Peer("nc -lk", lambda port: ["nc", "-lk", "127.0.0.1", str(port)], row=LINE)
SOCAT = Peer("socat fork", lambda port: _socat(port, "fork,reuseaddr"))
SOCAT_BACKLOG = Peer("socat fork,backlog=128", lambda port: _socat(port, "fork,reuseaddr,backlog=128"))
ECHO = portside("--echo", "--format", "raw", output="null")
C_ECHO = reference("echo", output="null")
C_SINK = reference("sink", output="null")
ECHOES = (
    Peer(
        "socat EXEC:cat",
        lambda port: ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=1024", "EXEC:/bin/cat"],
        output="null",
    ),
    Peer(
        "ncat --exec /bin/cat",
        lambda port: ["ncat", "-lk", "127.0.0.1", str(port), "--max-conns", "2000", "--exec", "/bin/cat"],
        output="null",
    ),
)


def tls_echoes(pem: str) -> tuple[Peer, ...]:
    """Echo servers over TLS, ours first; ``pem`` holds certificate and key."""
    return (
        portside("--tls", "--tls-cert", pem, "--echo", "--format", "raw", output="null"),
        Peer(
            "ncat --ssl --exec /bin/cat",
            lambda port: [
                *("ncat", "-lk", "127.0.0.1", str(port), "--max-conns", "2000", "--ssl"),
                *("--ssl-cert", pem, "--ssl-key", pem, "--exec", "/bin/cat"),
            ],
            output="null",
        ),
        Peer(
            "socat OPENSSL-LISTEN fork",
            lambda port: [
                "socat",
                f"OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=1024,cert={pem},verify=0",
                "EXEC:/bin/cat",
            ],
            output="null",
        ),
    )


CHAT = portside("--chat", "--format", "raw", output="null")
NCAT_CHAT = Peer(
    "ncat --chat",
    lambda port: ["ncat", "-lk", "127.0.0.1", str(port), "--max-conns", "1000", "--chat"],
    output="null",
)
Relay = Callable[[int], Peer]
"""A relay to a port."""


def forward_portside(to: int) -> Peer:
    """`--forward` with the view off."""
    return portside("--forward", f"127.0.0.1:{to}", "--format", "raw", output="null")


def forward_socat(to: int) -> Peer:
    """A process for each connection, as it is started everywhere."""
    return Peer("socat fork", partial(_relay, to), output="null")


def _relay(to: int, port: int) -> list[str]:
    return ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=128", f"TCP:127.0.0.1:{to}"]


def _socat(port: int, options: str) -> list[str]:
    return ["socat", "-u", f"TCP-LISTEN:{port},bind=127.0.0.1,{options}", "-"]


CLIENTS: dict[str, Callable[[int], list[str]]] = {
    "portside": lambda port: [PORTSIDE, "connect", f"127.0.0.1:{port}"],
    "ncat": lambda port: ["ncat", "127.0.0.1", str(port)],
    # Without -t it would end half a second after its standard input, come what may.
    "socat": lambda port: ["socat", "-t", "30", "-", f"TCP:127.0.0.1:{port}"],
    "nc -N": lambda port: ["nc", "-N", "127.0.0.1", str(port)],
}
