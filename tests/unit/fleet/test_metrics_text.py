"""The facts of an agent as Prometheus text."""

import subprocess

from machine_facts import AGENT, FACTS, SOCKETS
from prometheus_client.parser import text_string_to_metric_families

from portside.fleet.metrics.exposition import metrics_text
from portside.fleet.metrics.facts import MachineFacts, PortCount, SocketCounts
from portside.version import __version__

Series = tuple[str, tuple[tuple[str, str], ...]]


def series(facts: MachineFacts) -> dict[Series, float]:
    families = text_string_to_metric_families(metrics_text(facts).decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def test_every_metric() -> None:
    found = series(FACTS)
    assert found[("portside_tcp_sockets", (("state", "ESTABLISHED"),))] == 5
    assert found[("portside_tcp_sockets", (("state", "LAST_ACK"),))] == 0
    assert found[("portside_port_recv_queue_bytes", (("port", "5432"),))] == 100
    assert found[("portside_port_send_queue_bytes", (("port", "other"),))] == 7
    assert found[("portside_port_sockets", (("port", "5432"), ("state", "LISTEN")))] == 1
    assert found[("portside_finding", (("code", "close-wait-leak"), ("severity", "warning")))] == 2
    assert found[("portside_agent_info", (("node", "web1"), ("site", "paris"), ("version", __version__)))] == 1
    plain = {name: value for (name, labels), value in found.items() if not labels and name.startswith("portside_")}
    assert plain == {
        "portside_agent_records_made_total": 1000,
        "portside_agent_records_published_total": 990,
        "portside_agent_records_acknowledged_total": 900,
        "portside_agent_records_dropped_total": 7,
        "portside_agent_events_sampled_out_total": 3,
        "portside_agent_announcements_lost_total": 2,
        "portside_agent_outbox_records": 93,
        "portside_agent_outbox_bytes": 40960,
        "portside_agent_outbox_limit_bytes": 1 << 20,
        "portside_agent_outbox_oldest_seconds": 1.5,
        "portside_agent_broker_connected": 1,
        "portside_agent_look_age_seconds": 0.25,
    }
    assert found[("process_resident_memory_bytes", ())] > 1 << 20


def test_what_is_not_known_is_left_out() -> None:
    agent = AGENT._replace(look_age_s=None, is_connected=False, outbox=AGENT.outbox)
    names = {name for name, _ in series(MachineFacts(None, None, agent))}
    assert not {name for name in names if name.startswith(("portside_tcp", "portside_port", "portside_finding"))}
    assert "portside_agent_look_age_seconds" not in names
    without_queues = SocketCounts(SOCKETS.states, (PortCount(80, {}, None, 5),))
    found = series(MachineFacts(without_queues, (), agent))
    assert found[("portside_port_sockets", (("port", "80"), ("state", "ESTABLISHED")))] == 0
    assert ("portside_port_send_queue_bytes", (("port", "80"),)) in found
    assert ("portside_port_recv_queue_bytes", (("port", "80"),)) not in found
    assert found[("portside_agent_broker_connected", ())] == 0


def test_names_are_escaped() -> None:
    hostile = AGENT._replace(node='a"\\\nportside_x 1', site="\x1b[31m")
    found = series(MachineFacts(None, None, hostile))
    assert ("portside_x", ()) not in found
    (labels,) = (dict(labels) for name, labels in found if name == "portside_agent_info")
    assert labels["node"] == 'a"\\\nportside_x 1'


def test_promtool_finds_nothing_wrong() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics_text(FACTS), capture_output=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
