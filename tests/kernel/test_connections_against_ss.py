"""The kernel's facts in a list of connections beside what ``ss`` says of the same sockets."""

import urllib.parse
from collections.abc import Callable
from typing import Any

from api_client import ask
from conftest import Start
from kernel.ss import Line, ss
from support import connect_many, fill, wait_until

# Names of the API, and of ss.
NUMBERS = {
    "cwnd": "cwnd",
    "bytes_sent": "bytes_sent",
    "bytes_acked": "bytes_acked",
    "bytes_received": "bytes_received",
    "segs_in": "segs_in",
    "segs_out": "segs_out",
    "notsent_bytes": "notsent",
    "snd_wnd": "snd_wnd",
    "mss": "mss",
}

FILTERS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("state established", lambda each: each["state"] == "ESTABLISHED"),
    ("cwnd > 10", lambda each: each["cwnd"] > 10),
    ("bytes_received >= 5 and notsent = 0", lambda each: each["bytes_received"] >= 5 and each["notsent_bytes"] == 0),
]


def facts_of(line: Line) -> dict[str, Any]:
    """A line of ss with the names of the API."""
    numbers = {ours: int(line.details.get(theirs, 0)) for ours, theirs in NUMBERS.items()}
    rtt_us = round(float(line.details["rtt"].split("/")[0]) * 1000)
    return {"state": line.state, "recv_q": line.recv_q, "send_q": line.send_q, "rtt_us": rtt_us, **numbers}


def test_the_facts_of_every_connection(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect_many(30, server.port) as clients:
        for number, client in enumerate(clients[2:]):
            client.sendall(b"x" * (number + 1))
            assert client.recv(1)
        for client in clients[:2]:
            fill(client, 0.2, reader=server)  # they read nothing of what comes back
        names = ",".join(("peer", "state", "kernel.state", "recv_q", "send_q", "rtt_us", *NUMBERS))

        def both() -> tuple[dict[str, Any], dict[str, Any]]:
            page = ask(server, f"/api/v1/connections?limit=1000&fields={names}").json
            ours = {item["peer"]: item["kernel"] for item in page["items"]}
            theirs = {str(line.remote): facts_of(line) for line in ss("state", "connected", f"sport = :{server.port}")}
            return ours, theirs

        wait_until(lambda: len((found := both())[0]) == 30 and found[0] == found[1], "no difference from ss")
        lines = ss("state", "connected", f"sport = :{server.port}")
        totals = ask(server, "/api/v1/connections").json["totals"]
        assert (totals["recv_q"], totals["send_q"]) == (
            sum(each.recv_q for each in lines),
            sum(each.send_q for each in lines),
        )
        assert totals["recv_q"] > 0 < totals["send_q"]
        for filter_, matches in FILTERS:
            text = urllib.parse.quote(filter_)
            found = ask(server, f"/api/v1/connections?fields=conn&filter={text}").json["total"]
            assert found == sum(matches(facts_of(line)) for line in lines), filter_
