"""Loggers for the client, which lives without asyncio and starts without the library's logging.

Importing ``logging`` would add several milliseconds to each short run. Whoever sets logging up has imported it.
"""

import sys


def log_info(name: str, message: str, *values: object) -> None:
    """Log to ``portside.client.<name>`` where the run has set up logging."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger(f"portside.client.{name}").info(message, *values)
