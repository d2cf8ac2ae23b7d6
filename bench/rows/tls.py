"""TLS: lines echoed, and handshakes."""

import os
import subprocess
from collections.abc import Iterator
from functools import partial

from bench import peers
from bench.disk import folder_on_disk
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

CLIENTS = 50
TRIPS, SHAKES = 100_000, 4_000  # in all
SHAKES_OF_A_PROGRAM = 400


def tls(plan: Plan) -> Iterator[Result]:
    """Round trips of 64 bytes, then connections that only shake hands."""
    with folder_on_disk() as folder:
        pem = os.path.join(folder, "both.pem")
        _make_certificate(pem)
        crowd = [peer for peer in peers.tls_echoes(pem) if plan.has(peer.command(0))]
        for words, unit, once in (
            ("a line of 64 bytes there and back", "trips/s", _trips),
            ("handshakes", "1/s", _shakes),
        ):
            rates = plan.by_turns({peer.name: partial(once, plan, peer) for peer in crowd})
            ours = rates.pop("portside")
            for name, theirs in rates.items():
                yield Result(f"TLS, {CLIENTS} clients, {words}, --tls --echo", unit, ours, name, theirs, Bar(1), NOTE)


def _make_certificate(pem: str) -> None:
    key, certificate = f"{pem}.key", f"{pem}.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    with open(pem, "wb") as both:
        for path in (certificate, key):
            with open(path, "rb") as part:
                both.write(part.read())


def _trips(plan: Plan, peer: peers.Peer) -> float:
    each = plan.some(TRIPS) // CLIENTS
    with Server(peer) as server:
        return CLIENTS * each / server.work("trips", CLIENTS, each, load="tls").seconds


def _shakes(plan: Plan, peer: peers.Peer) -> float:
    count = plan.some(SHAKES if peer.name == "portside" else SHAKES_OF_A_PROGRAM)
    with Server(peer) as server:
        work = server.work("shake", CLIENTS, count, load="tls")
    if work.failed and peer.name == "portside":
        raise RuntimeError(f"{work.failed} of {count} handshakes failed")
    return (count - work.failed) / work.seconds


NOTE = (
    "One EC P-256 certificate for all, TLS 1.3, the client in C with OpenSSL checks nothing and resumes nothing. ncat "
    "and socat run /bin/cat for each client."
)
