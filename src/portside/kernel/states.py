"""The states of a TCP socket: the kernel's numbers (include/net/tcp_states.h) with netstat's names.

A set of states is an integer with bit ``1 << state`` set for each state in it, as in sock_diag requests.
"""

ESTABLISHED = 1
SYN_SENT = 2
SYN_RECV = 3
FIN_WAIT1 = 4
FIN_WAIT2 = 5
TIME_WAIT = 6
CLOSE = 7
CLOSE_WAIT = 8
LAST_ACK = 9
LISTEN = 10
CLOSING = 11
NEW_SYN_RECV = 12  # how the kernel keeps a connection whose handshake is not finished; netlink shows it as SYN_RECV

NAMES = {
    ESTABLISHED: "ESTABLISHED",
    SYN_SENT: "SYN_SENT",
    SYN_RECV: "SYN_RECV",
    FIN_WAIT1: "FIN_WAIT1",
    FIN_WAIT2: "FIN_WAIT2",
    TIME_WAIT: "TIME_WAIT",
    CLOSE: "CLOSE",
    CLOSE_WAIT: "CLOSE_WAIT",
    LAST_ACK: "LAST_ACK",
    LISTEN: "LISTEN",
    CLOSING: "CLOSING",
    NEW_SYN_RECV: "SYN_RECV",
}
NUMBERS = {name: number for number, name in reversed(NAMES.items())}

ALL = sum(1 << state for state in range(ESTABLISHED, CLOSING + 1))
LISTENING = 1 << LISTEN
CONNECTED = ALL & ~(LISTENING | 1 << CLOSE)

# What may stand after `state` and `exclude` in a filter, underscores written as hyphens: the words of ss and
# netstat's names.
WORDS = {
    "established": 1 << ESTABLISHED,
    "syn-sent": 1 << SYN_SENT,
    "syn-recv": 1 << SYN_RECV,
    "syn-rcv": 1 << SYN_RECV,
    "fin-wait-1": 1 << FIN_WAIT1,
    "fin-wait1": 1 << FIN_WAIT1,
    "fin-wait-2": 1 << FIN_WAIT2,
    "fin-wait2": 1 << FIN_WAIT2,
    "time-wait": 1 << TIME_WAIT,
    "close": 1 << CLOSE,
    "closed": 1 << CLOSE,
    "unconnected": 1 << CLOSE,
    "close-wait": 1 << CLOSE_WAIT,
    "last-ack": 1 << LAST_ACK,
    "listen": LISTENING,
    "listening": LISTENING,
    "closing": 1 << CLOSING,
    "all": ALL,
    "connected": CONNECTED,
    "synchronized": CONNECTED & ~(1 << SYN_SENT),
    "bucket": 1 << SYN_RECV | 1 << TIME_WAIT,
    "big": ALL & ~(1 << SYN_RECV | 1 << TIME_WAIT),
}


def name_of(state: int) -> str:
    """netstat's name of a state; ``STATE_13`` for a number that only a newer kernel has."""
    return NAMES.get(state) or f"STATE_{state}"
