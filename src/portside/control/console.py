"""The server's side of all consoles: the run that they look at, and what is kept for them.

It is made when the first client comes, or at the start where a page was asked for. Nothing of the web stack is imported
here.
"""

from portside.app.running_server import RunningServer
from portside.control.rates import RateMeter


class Console:
    """What the operations of the API work on; on the loop's thread alone."""

    def __init__(self, run: RunningServer) -> None:
        self.run = run
        self.rates = RateMeter(run)

    async def stop(self) -> None:
        """End what was begun for the consoles."""
        self.rates.stop()
