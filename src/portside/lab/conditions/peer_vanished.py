"""``peer-vanished``: a peer that answered, and then answers nothing any more, as if it had been switched off."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.packet_filter import ALL, drop
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import largest, rows, total


def _vanish(role: Role) -> None:
    """The peer: it accepts, and from then on nothing reaches it."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    connection, _ = listener.accept()
    connection.sendall(b"hello\n")
    role.pause(0.2)  # for the acknowledgement
    drop(connection, ALL)
    role.hold()


def _send(role: Role, port: int) -> None:
    """The program that does not know: it sends, and waits for an answer."""
    connection = dial(port)
    connection.recv(16)
    role.pause(0.6)
    connection.sendall(b"are you there?\n")
    role.ready()
    role.hold()


def make(bench: Bench) -> Scene:
    """The peer, and the program that waits for it."""
    port = bench.start("peer", _vanish).port
    bench.start("program", _send, port)

    def proof() -> str | None:
        found = rows(f"state established and dport = :{port}")
        again, silent_s = total(found, "backoff"), largest(found, "last_ack_recv_ms") / 1e3
        if again < 3:
            return None
        return f"the same segment was sent again {again} times, and nothing has come for {silent_s:.1f}s."

    return Scene(
        proof=proof,
        within_s=15,
        looks=(
            Look(f"portside watch --wide 'dport = :{port}'", "ESTABLISHED, Send-Q stays; retransmits grow"),
            Look(f"ss -tnoi 'dport = :{port}'", "timer:(on,…,N), backoff:N, and lastack and lastrcv, which only grow"),
            Look(f"netstat -tno | grep ':{port} '", "on (…/N/0): retransmission N"),
        ),
    )


CONDITION = Condition(
    code="peer-vanished",
    what="the peer answers nothing any more; the connection stays ESTABLISHED and what is sent is sent again, in vain.",
    how="a client sends to a server that nothing reaches any more; the kernel gives up after 15 minutes.",
    make=make,
    isolated=True,
)
