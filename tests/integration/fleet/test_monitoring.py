"""docs/monitoring with a real Prometheus: what it scrapes, the alerts that fire, and the queries of the dashboard."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from api_client import ask, page_of
from fleet_stream import make_stream
from integration.lab.conftest import tracked_labs
from nats_server import NatsServer
from prometheus_client.parser import text_string_to_metric_families
from support import Program, connect, listening_port, wait_until

FOLDER = Path(__file__).parents[3] / "docs" / "monitoring"
CONFIG, RULES, TESTS, DASHBOARD = "prometheus.yml", "portside.rules.yml", "portside.rules.test.yml", "dashboard.json"
ALERTED_S = 120.0
_NAME = re.compile(r"\b(?:portside|process)_\w+|\bup\b")
_WORDS = re.compile(r"(?:by|on|group_left) ?\(([^)]*)\)|\{([^}]*)\}")

pytestmark = pytest.mark.timeout(600)


class Watched(NamedTuple):
    """A Prometheus that scrapes a server and an agent of this machine, on which a listener drops its clients."""

    prometheus: int
    server: Program
    agent: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query, empty where there is none."""
        answer = ask(f"127.0.0.1:{self.prometheus}", f"/api/v1/query?query={quote(expression)}")
        assert answer.status == 200, (expression, answer.body)
        found: list[dict[str, Any]] = answer.json["data"]["result"]
        return found

    def texts(self) -> str:
        """What the server and the agent serve."""
        served = [ask(self.server, "/metrics"), ask(self.agent, "/metrics")]
        assert [each.status for each in served] == [200, 200]
        return "".join(each.body.decode() for each in served)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        lab = stack.enter_context(tracked_labs())("accept-queue-overflow")
        server = Program("listen", "127.0.0.1:0", "--echo", "--web", "127.0.0.1:0")
        stack.callback(server.kill)
        page = page_of(server)
        agent = stack.enter_context(an_agent(folder))
        for end in leaked_connection():
            stack.enter_context(end)
        stack.enter_context(connect(server.port))
        lab.wait_until_there()
        config = (FOLDER / CONFIG).read_text().replace("127.0.0.1:8080", page.address).replace("127.0.0.1:9111", agent)
        (folder / CONFIG).write_text(config.replace("interval: 15s", "interval: 1s"))
        (folder / RULES).write_text(re.sub(r"\bfor: \w+", "for: 1s", (FOLDER / RULES).read_text()))
        (folder / "portside.token").write_text(page.token)
        prometheus = Program(
            f"--config.file={folder / CONFIG}",
            f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:0",
            command=("prometheus",),
        )
        stack.callback(prometheus.kill)
        port = wait_until(lambda: listening_port(prometheus.process.pid), "Prometheus to listen")
        watched = Watched(port, server, agent)
        wait_until(lambda: ask(f"127.0.0.1:{port}", "/-/ready").status == 200, "Prometheus to be ready", ALERTED_S)
        yield watched


@contextmanager
def an_agent(folder: Path) -> Iterator[str]:
    """The address of the metrics of an agent, which publishes to a broker of its own."""
    with ExitStack() as stack:
        broker = NatsServer(folder).start()
        stack.callback(broker.stop)
        make_stream(broker.url)
        agent = Program(
            *("agent", "--nats", broker.url, "--node", "web1", "--site", "paris", "--interval", "1s"),
            *("--outbox", str(folder / "outbox"), "--metrics", "127.0.0.1:0"),
        )
        stack.callback(agent.kill)
        (address,) = agent.wait_for(r"metrics on http://\S+/metrics", err=True)
        yield address.removeprefix("metrics on http://").removesuffix("/metrics")


def leaked_connection() -> list[socket.socket]:
    """A listener, and a connection that its client has closed and its program has not."""
    listener = socket.create_server(("127.0.0.1", 0))
    with connect(listener.getsockname()[1]):
        accepted, _ = listener.accept()
    return [listener, accepted]


def expressions(name: str) -> list[str]:
    """Every query of the dashboard, or every expression of the rules."""
    text = (FOLDER / name).read_text()
    if name == DASHBOARD:
        panels = json.loads(text)["panels"]
        return [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return re.findall(r"^ +expr: (?:\|\n(?: {10}.*\n)+|.+)", text, re.MULTILINE)


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    for name in (CONFIG, RULES, TESTS):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "portside.token").touch()
    for command in (["check", "config", CONFIG], ["check", "rules", RULES], ["test", "rules", TESTS]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_every_alert_is_tested_and_says_where_its_threshold_is_from() -> None:
    rules, tests = (FOLDER / RULES).read_text(), (FOLDER / TESTS).read_text()
    alerts = re.split(r"^ +- alert: ", rules, flags=re.MULTILINE)[1:]
    assert len(alerts) > 10
    for alert in alerts:
        name = alert.split(maxsplit=1)[0]
        assert "          source: " in alert, name
        assert re.search(rf"\b{name}\b", tests), name


@pytest.mark.parametrize("name", [DASHBOARD, RULES])
def test_every_metric_and_label_in_queries_is_served(watched: Watched, name: str) -> None:
    wait_until(lambda: "portside_finding{" in watched.texts(), "a finding", ALERTED_S)
    samples = [
        each for family in text_string_to_metric_families(watched.texts()) for each in family.samples
    ]  # of both, one after the other
    labels = {"job", "instance", "host"}.union(*(each.labels for each in samples))
    known = {each.name for each in samples} | {"up"}
    for query in expressions(name):
        bare = re.sub(r'"[^"]*"', '""', query)
        names = set(_NAME.findall(re.sub(r"[\w:]+:[\w:]+", "", bare)))
        assert names <= known, query
        used = {
            word
            for grouped, matched in _WORDS.findall(bare)
            for word in re.findall(r"\w+", grouped) + re.findall(r"(\w+) *[=!]", matched)
        }
        assert used <= labels, query


def test_the_page_names_every_metric(watched: Watched) -> None:
    page = (FOLDER / "index.md").read_text()
    served = {line.split(maxsplit=1)[0].partition("{")[0] for line in watched.texts().splitlines() if line[0] != "#"}
    assert {each for each in served if each.startswith("portside_") and not re.search(rf"\b{each}\b", page)} == set()


def test_an_alert_fires_on_the_condition_of_a_lab(watched: Watched) -> None:
    (alert, *_) = wait_until(
        lambda: watched.query('ALERTS{alertname="PortsideFindingCritical",alertstate="firing"}'), "an alert", ALERTED_S
    )
    assert alert["metric"]["code"] == "accept-queue-overflow"
    assert alert["metric"]["host"] == "127.0.0.1"
    for job in ("portside-agent", "portside-server"):
        one = f'portside_finding{{job="{job}",code="accept-queue-overflow"}}'
        wait_until(partial(watched.query, one), f"the finding of {job}", ALERTED_S)


def test_every_query_of_the_dashboard_returns_data(watched: Watched) -> None:
    for query in expressions(DASHBOARD):
        asked = query.replace("$instance", ".*").replace("$__rate_interval", "1m")
        assert "$" not in asked
        wait_until(partial(watched.query, asked), f"data of {asked}", ALERTED_S)


def test_every_recording_rule_records(watched: Watched) -> None:
    for name in re.findall(r"record: (\S+)", (FOLDER / RULES).read_text()):
        wait_until(partial(watched.query, name), f"{name} to be recorded", ALERTED_S)
