"""The client logs where the run has set up logging, and imports nothing for it elsewhere."""

import subprocess
import sys

import pytest

from portside.client.log import log_info


def test_lines_reach_a_logger_that_is_set_up(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "portside.client"):
        log_info("dial", "connected to %s", "::1")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("portside.client.dial", "connected to ::1")
    ]


def test_dialling_imports_no_logging() -> None:
    code = "import sys; from portside.client.log import log_info; log_info('dial', ''); print('logging' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
