"""``ctl servers``: the servers that run here."""

from portside.app.stdout import write_lines
from portside.control.client.servers import local_servers
from portside.ctl.output import seconds_text, table_lines, write_json


def list_servers(*, json: bool) -> None:
    """Write the servers of this user, by process. Raises PortsideError where their sockets may not be looked at."""
    servers = local_servers()
    if json:
        write_json([each.info for each in servers])
        return
    rows = []
    for each in servers:
        counts = each.info["counts"]
        rows.append(
            (str(each.pid), str(counts["open"]), str(counts["opened"]), str(counts["received"]), str(counts["sent"]),
             seconds_text(each.info["uptime"]), " ".join(each.addresses))
        )  # fmt: skip
    write_lines(table_lines((">PID", ">OPEN", ">OPENED", ">RECEIVED", ">SENT", ">UPTIME", "ADDRESSES"), rows))
