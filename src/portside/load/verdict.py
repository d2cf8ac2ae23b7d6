"""What held a run back, in words: the kernel's clocks and counters, the server's queue, and this client itself."""

from collections.abc import Iterator

from portside.load.report import Kernel, Observed, Times

_FULL_CORE = 0.95
_LATE_US = 1000.0
_REACHED = 0.99  # of the rate that was asked for
_SHARE = 0.1  # of the busy time, from which on a limit is worth a word
_FULL_MACHINE = 0.97
_SHORTEST_S = 0.5  # from here on the use of processors is counted well enough


def verdict(
    *,
    rate: float,
    wanted_rate: float | None,
    late_us: Times | None,
    busiest: float,
    duration_s: float,
    kernel: Kernel | None,
    observed: Observed,
) -> Iterator[str]:
    """The sentences, the most important first."""
    if wanted_rate is not None and rate < wanted_rate * _REACHED:
        yield f"the rate was not reached: {rate:,.0f} of {wanted_rate:,.0f} messages a second were answered"
    late = late_us["p99"] if late_us is not None else None
    if late is not None and late > _LATE_US:
        yield (
            f"this client was late: 1 % of the messages left more than {late / 1000:.1f} ms after they were due, which "
            "counts in their latency; use fewer connections, a lower rate or a machine of its own"
        )
    if busiest >= _FULL_CORE and duration_s >= _SHORTEST_S:
        yield (
            f"this client was at its limit: a process of it used {busiest:.0%} of a core, so that the server may be "
            "faster than this; use more --workers or another machine"
        )
    busy = observed.busy_processors
    if busy is not None and busy >= _FULL_MACHINE:
        yield f"all processors of this machine were busy ({busy:.0%}): what runs on it shares them"
    if kernel is not None:
        yield from _kernel(kernel)
    yield from _counters(observed)


def _kernel(kernel: Kernel) -> Iterator[str]:
    if kernel.retransmitted:
        yield f"{kernel.retransmitted:,} segments were sent again: packets were lost or late on the way"
    if kernel.receiver_limited is not None and kernel.receiver_limited >= _SHARE:
        yield (
            f"the server did not read fast enough: its window was closed {kernel.receiver_limited:.0%} of the time in "
            "which there was something to send"
        )
    if kernel.sender_limited is not None and kernel.sender_limited >= _SHARE:
        yield (
            f"our send buffer was full {kernel.sender_limited:.0%} of the time in which there was something to send: "
            "net.ipv4.tcp_wmem limits it"
        )


def _counters(observed: Observed) -> Iterator[str]:
    counters = observed.counters
    if syns := counters.get("TcpExt.TCPSynRetrans", 0):
        yield (
            f"{syns:,} connection attempts on this machine had to be repeated after a second or more: the SYN or its "
            "answer was lost, or the server's accept queue was full"
        )
    if drops := counters.get("TcpExt.ListenOverflows", 0):
        yield f"a listener on this machine dropped {drops:,} connections because its accept queue was full"
    queue = observed.accept_queue
    if queue is not None and queue[1] and queue[0] * 2 >= queue[1]:
        yield f"the server's accept queue had {queue[0]:,} connections waiting of at most {queue[1]:,}"
