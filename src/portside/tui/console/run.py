"""``portside console``: a console on the terminal, for a server that runs already."""

from portside.control.client.finder import Find
from portside.control.client.server_info import ask_server
from portside.tui.console.app import ConsoleApp


def run(find: Find) -> int:
    """Show a server until the user quits; the exit status.

    Raises PortsideError where the server cannot be found: before the screen changes.
    """
    client = find(None)
    app = ConsoleApp(find, client, ask_server(client))
    app.run()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
