"""``self-connected``: a socket is connected to itself.

A client that tries a local port of the ephemeral range again and again, while nobody listens there, may one day get
that port as its own: its SYN then meets itself (simultaneous open, RFC 9293, section 3.5), and the connection echoes.
"""

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Thresholds, Verdict
from portside.diagnosis.view import View


def select(view: View, _limits: Thresholds) -> Mask:
    """Sockets whose two ends are the same."""
    made = ~view.is_in(tcp_states.LISTEN, tcp_states.SYN_SENT, tcp_states.TIME_WAIT)
    same_port: Mask = made & (view.column("local_port")[0] == view.column("remote_port")[0])
    if not same_port.any():
        return same_port
    mask: Mask = same_port & (view.column("local")[0] == view.column("remote")[0]).all(axis=1)
    return mask


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """Which socket it is."""
    return Verdict(
        severity="warning",
        summary=f"{group.program} is connected to itself at {group.subject.local}: it reads what it writes.",
        evidence={"local": group.end, "sockets": len(group)},
        why="The service at this port does not run, and the client that tried to reach it got its port as its own. "
        "While it holds the port, the service cannot start.",
        remedy="end that connection, and start the service; keep ports of services out of "
        "net.ipv4.ip_local_port_range, or name them in net.ipv4.ip_local_reserved_ports.",
    )


RULE = SocketRule(
    code="self-connected",
    sentence="A socket is connected to itself.",
    by=By.SOCKET,
    select=select,
    describe=describe,
)
