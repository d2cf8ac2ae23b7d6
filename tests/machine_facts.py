"""Facts of a machine as an agent hands them in, for tests of what is made of them."""

from portside.diagnosis.findings import Finding, Subject
from portside.fleet.metrics.facts import AgentFacts, MachineFacts, PortCount, SocketCounts
from portside.fleet.schema import OutboxStatus

LEAK = Finding(
    code="close-wait-leak",
    severity="warning",
    subject=Subject("program", pid=7, program="leaky"),
    summary="leaky has 5 connections that the peer closed and it did not",
    evidence={"sockets": 5},
    why="why",
    remedy="remedy",
    first_seen="2026-11-28T01:00:00Z",
    last_seen="2026-11-28T01:00:05Z",
    count=5,
)
AGENT = AgentFacts(
    site="paris",
    node="web1",
    made=1000,
    published=990,
    acknowledged=900,
    sampled=3,
    lost=2,
    outbox=OutboxStatus(records=93, bytes=40960, oldest_s=1.5, dropped=7),
    outbox_limit=1 << 20,
    is_connected=True,
    look_age_s=0.25,
)
SOCKETS = SocketCounts(
    states={"LISTEN": 1, "ESTABLISHED": 5, "CLOSE_WAIT": 2},
    ports=(
        PortCount(5432, {"LISTEN": 1, "ESTABLISHED": 3}, 100, 200),
        PortCount(None, {"ESTABLISHED": 2, "CLOSE_WAIT": 2}, 0, 7),
    ),
)
FACTS = MachineFacts(SOCKETS, (LEAK, LEAK), AGENT)
