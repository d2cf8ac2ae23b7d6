"""``portside agent``: limit what the process takes, and only then import numpy and the rest."""

import os

from portside.settings.agent import Agent


def run(settings: Agent) -> int:
    """Gather and publish until a signal; the exit status."""
    # numpy's linear algebra, unused here, starts a thread for each processor.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from portside.fleet.agent.memory import limit_memory

    limit_memory()
    from portside.fleet.agent.run import run as run_agent

    return run_agent(settings)
