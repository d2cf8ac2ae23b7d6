"""A table of sockets as /proc/net/tcp tells it, to be shown."""

from dataclasses import replace

from portside.kernel.models import Owner
from portside.kernel.proc_net_tcp import _table, parse
from portside.kernel.table import SocketTable

_TITLE = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_FOUR = (
    b"   0: 0100007F:3039 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 10 1 0\n"
    b"   1: 0100007F:3039 0100007F:C202 01 00000007:000186A0 02:000AFC80 00000000  1000        0 11 2 0\n"
    b"   2: 0100007F:C202 0100007F:3039 08 00000000:00000001 00:00000000 00000000  1000        0 12 2 0\n"
    b"   3: 0100007F:0009 0200007F:0008 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0\n"
)
_SIX = (
    b"   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000"
    b" 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n"
    b"   1: B80D0120000000000000000001000000:01BB B80D0120785634120000000002000000:D431"
    b" 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0\n"
)
OWNERS = {
    10: (Owner(7, "nginx", 3), Owner(8, "nginx", 3), Owner(8, "nginx", 4)),
    11: (Owner(8, "nginx", 5),),
    12: (Owner(53140, "a b\x1b[2J\n", 3),),
    13: (Owner(6, None, None),),
}


def made() -> SocketTable:
    """A listener, a connection's two ends, one in TIME_WAIT, and two of IPv6; some with owners."""
    return replace(_table(parse(_TITLE + _FOUR, 4) + parse(_TITLE + _SIX, 6)), owners=OWNERS)
