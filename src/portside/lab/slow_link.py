"""A link that is slow, long or disorderly: a tun device (tun(4)) whose packets this process delays, drops and delivers.

The device has the address ``NEAR``; packets to ``FAR`` go out on it, and come back in with both addresses exchanged. So
a connection to a port of ``FAR`` arrives at the listener on that port of ``NEAR``, as from ``FAR``: both ends are here,
and the link is between them. Exchanging addresses leaves the checksums as they are (RFC 1071: the order of the words
of a sum does not matter).
"""

import fcntl
import heapq
import os
import select
import struct
import time
from collections.abc import Callable

from portside.errors import PortsideError, reason_of
from portside.lab.bench import Bench
from portside.lab.isolation import Isolation
from portside.lab.role import Role

NEAR, FAR = "10.77.0.1", "10.77.0.2"
INTERFACE = "slow0"
_DEVICE = "/dev/net/tun"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MOST_PACKET_BYTES = 65536
_MOST_HELD = 20_000  # packets under way

Policy = Callable[[float, int, bool, int], float | None]
"""When a packet is delivered, None for never: given the time, its number, whether it goes to the listener, its size."""


def start_link(bench: Bench, policy: Policy) -> None:
    """Start the link; a listener on ``NEAR`` is then reached at ``FAR``. Raises PortsideError with what is missing."""
    try:
        bench.start("link", _carry, bench.isolation, policy)
    except PortsideError as error:
        hint = f"root may use {_DEVICE}, and whoever may open it (`ls -l {_DEVICE}`); the module of the kernel is tun"
        raise PortsideError(error.what, error.why, hint) from None


def _carry(role: Role, isolation: Isolation, policy: Policy) -> None:
    """The link: it takes packets from the device and gives them back when they are due."""
    try:
        device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", INTERFACE.encode(), _IFF_TUN | _IFF_NO_PI))
        isolation.up(INTERFACE, address=NEAR)
    except OSError as error:
        raise OSError(
            error.errno, f"the link needs a tun device, and {_DEVICE} gives none: {reason_of(error)}"
        ) from None
    role.ready()
    held: list[tuple[float, int, bytes]] = []
    numbers = {False: 0, True: 0}
    count = 0
    poll = select.poll()
    poll.register(device, select.POLLIN)
    while True:
        now = time.monotonic()
        while held and held[0][0] <= now:
            os.write(device, heapq.heappop(held)[2])
        poll.poll(max(0.0, held[0][0] - now) * 1000 if held else None)
        for packet in _waiting(device):
            if packet[0] >> 4 != 4 or packet[9] != 6:  # neither IPv4 nor TCP: solicitations of routers
                continue
            forward = _is_to_listener(packet)
            numbers[forward] += 1
            due = policy(time.monotonic(), numbers[forward], forward, len(packet))
            if due is not None and len(held) < _MOST_HELD:
                count += 1
                heapq.heappush(held, (due, count, packet[:12] + packet[16:20] + packet[12:16] + packet[20:]))


def _waiting(device: int) -> list[bytes]:
    """The packets that the device has now."""
    found: list[bytes] = []
    try:
        while len(found) < 256:
            found.append(os.read(device, _MOST_PACKET_BYTES))
    except BlockingIOError:
        pass
    return found


def _is_to_listener(packet: bytes) -> bool:
    """Whether a segment goes to the listener: its port is the lower one, as that of a lab is (``LISTEN_PORT``)."""
    start = (packet[0] & 15) * 4
    source, target = struct.unpack_from("!HH", packet, start)
    return bool(target < source)


LISTEN_PORT = 9000  # below those of clients
