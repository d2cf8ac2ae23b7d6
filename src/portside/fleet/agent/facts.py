"""What a run knows of its machine and of itself, as metrics take it."""

import time
from collections.abc import Callable

from portside.fleet.agent.tally import Tally
from portside.fleet.metrics.facts import AgentFacts, MachineFacts, SocketCounts
from portside.fleet.metrics.socket_counts import count_sockets, kernel_ports
from portside.fleet.outbox.publisher import Publisher
from portside.kernel import states
from portside.settings.agent import Agent


def facts_of(settings: Agent, node: str, tally: Tally, publisher: Publisher) -> Callable[[], MachineFacts]:
    """Makes the facts as they are when it is called."""
    chosen_by_kernel = kernel_ports()

    def facts() -> MachineFacts:
        counts = publisher.counts
        looked_s = tally.looked_s
        return MachineFacts(
            sockets=_counts(tally, chosen_by_kernel),
            findings=tally.findings,
            agent=AgentFacts(
                site=settings.site,
                node=node,
                made=sum(tally.records.values()),
                published=counts.sent_records,
                acknowledged=counts.records,
                sampled=tally.sampled,
                lost=tally.lost,
                outbox=tally.outbox(),
                outbox_limit=settings.outbox_size,
                is_connected=publisher.is_connected,
                look_age_s=None if looked_s is None else time.monotonic() - looked_s,
            ),
        )

    return facts


def _counts(tally: Tally, chosen_by_kernel: range) -> SocketCounts | None:
    """The sockets of the last table, and those in TIME_WAIT, of which the kernel tells the number."""
    if tally.table is None:
        return None
    counts = count_sockets(tally.table, chosen_by_kernel)
    return counts._replace(states={**counts.states, states.name_of(states.TIME_WAIT): tally.time_wait or 0})
