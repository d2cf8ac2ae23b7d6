"""Loggers for the client, which runs without asyncio and starts without importing ``logging``.

The import would add several milliseconds to each short run. A run with a log has imported ``logging`` already.
"""

import sys


def log_info(name: str, message: str, *values: object) -> None:
    """Log to ``portside.client.<name>`` where the run has set up logging."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger(f"portside.client.{name}").info(message, *values)
