"""Numbers of the kernel that rules compare with: include/net/tcp_states.h, and the timers of inet_diag.

``kernel/states.py`` has the same states with their names, but ``diagnosis`` does not know ``kernel``.
"""

ESTABLISHED = 1
SYN_SENT = 2
SYN_RECV = 3
FIN_WAIT1 = 4
FIN_WAIT2 = 5
TIME_WAIT = 6
CLOSE_WAIT = 8
LAST_ACK = 9
LISTEN = 10
CLOSING = 11

TIMER_OFF = 0
TIMER_RETRANSMIT = 1
TIMER_KEEPALIVE = 2
TIMER_TIME_WAIT = 3
TIMER_PERSIST = 4
