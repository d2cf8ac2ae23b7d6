"""``syn-queue-overflow``: the SYN queue is full, so that SYNs are dropped or answered with SYN cookies.

TCPReqQFullDrop and TCPReqQFullDoCookies are counted in ``tcp_conn_request`` (net/ipv4/tcp_input.c), see
Documentation/networking/snmp_counter.rst.

Thresholds: 1 is a warning and 5 are critical in netdata's alarm ``1m_tcp_syn_queue_drops`` (health.d/tcp_listen.conf).
With cookies connections are still made, so that they are a warning however many there are. Handshakes also wait behind
an accept queue that is full: where all of them are for such listeners, ``accept-queue-overflow`` is the finding, and
this one is *info*.
"""

from collections.abc import Iterator

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.observation import Values
from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.rules import accept_queue_overflow
from portside.diagnosis.view import View
from portside.diagnosis.words import counted

_DROPPED, _COOKIES = "TcpExt.TCPReqQFullDrop", "TcpExt.TCPReqQFullDoCookies"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The SYNs for which there was no room, and the port that most of the unfinished handshakes are for."""
    dropped, cookies = view.grown(_DROPPED), view.grown(_COOKIES)
    if dropped + cookies < limits["drops"]:
        return
    ports = view.column("local_port")[0][view.is_in(tcp_states.SYN_RECV)]
    evidence: dict[str, int | float | str] = {
        "dropped": dropped, "cookies_sent": cookies, "window_s": round(view.window_s, 1), "in_SYN_RECV": len(ports),
    }  # fmt: skip
    if len(ports):
        evidence["most_for_port"] = int(np.bincount(ports).argmax())
    port = f", most of them for port {evidence['most_for_port']}" if len(ports) else ""
    behind = _wait_behind_full_queues(view, ports)
    yield Verdict(
        severity="info" if behind else "critical" if dropped >= limits["critical"] else "warning",
        summary=f"The SYN queue is full: {counted(dropped, 'SYN')} dropped and {cookies} answered with a cookie in "
        f"{view.window_s:.0f}s; {counted(len(ports), 'handshake')} unfinished{port}.",
        evidence=evidence,
        why="More handshakes are begun than are finished: a flood of SYNs, clients whose answers do not arrive, or a "
        "full accept queue, behind which handshakes wait.",
        remedy="keep net.ipv4.tcp_syncookies at 1; raise the backlog of listen() and net.ipv4.tcp_max_syn_backlog; "
        "if the sources are strangers, limit them in the firewall.",
        affected=dropped + cookies,
        unseen=("which listener dropped: the kernel counts for the whole machine",),
    )


def _wait_behind_full_queues(view: View, ports: Values) -> bool:
    """Whether there are listeners with a full accept queue, and all unfinished handshakes are for their ports."""
    full = view.column("local_port")[0][accept_queue_overflow.found(view)]
    return bool(len(full)) and bool(np.isin(ports, full).all())


RULE = MachineRule(
    code="syn-queue-overflow",
    sentence="The queue of unfinished handshakes is full, and SYNs are dropped or answered with cookies.",
    thresholds=(
        Threshold("drops", 1, "count", "SYNs without room within the window: a warning"),
        Threshold("critical", 5, "count", "SYNs dropped within the window that are critical"),
    ),
    counters=(_DROPPED, _COOKIES),
    look=look,
)
