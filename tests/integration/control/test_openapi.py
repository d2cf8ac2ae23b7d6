"""The server does what its OpenAPI description says: no answer that is not described, and no internal error.

schemathesis makes the requests up: those that fit the description, and those that do not.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from api_client import ask, page_of
from conftest import Start
from support import connect_many

ENDS_THE_RUN = "/api/v1/drain"
NEVER_ENDS = "/api/v1/events"  # see test_events.py
CONFIG = """
[checks]
# Filters, rates, faults and networks are languages of their own, which a schema does not describe.
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "410", "413", "422", "431"]
positive_data_acceptance.expected-statuses = ["2xx", "400", "403", "404", "409", "410", "422", "503"]
"""


@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing_that_is_not_described(listen: Start, tmp_path: Path) -> None:
    server = listen("--echo", "--web")
    page = page_of(server)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with connect_many(5, server.port):
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", f"http://{page.address}/openapi.json"),
                *("--header", f"Authorization: Bearer {page.token}", "--checks", "all", "--continue-on-failure"),
                *("--max-examples", "10", "--seed", "1", "--suppress-health-check", "all", "--workers", "1"),
                *("--exclude-path", ENDS_THE_RUN, "--exclude-path", NEVER_ENDS),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=270,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ask(server, "/api/v1/server").status == 200
    assert server.err.count(b"\n") == 1, server.err.decode()  # the link alone: nothing failed inside
