"""The programs that hold a port which is in use, for the error that a server cannot listen there."""

from portside.app.cell_text import owners_text
from portside.errors import PortsideError
from portside.kernel.snapshot import snapshot


def port_in_use_hint(port: int) -> str:
    """Say which programs have the port, and the command that shows their sockets; looks at the kernel's table once."""
    command = f"portside watch -a 'sport = :{port}'"
    try:
        table = snapshot(f"sport = :{port}", view="all").table
    except PortsideError:
        return f"`{command}` shows who has that port; port 0 picks a free one"
    owners = {owner.pid: owner for key in table.owner_keys.tolist() for owner in (table.owners or {}).get(key, ())}
    if owners:
        holders = f"{owners_text(owners.values())} {'has' if len(owners) == 1 else 'have'} that port"
    elif len(table):
        holders = "a program that cannot be seen from here has that port"
    else:
        holders = "no socket of this network is seen to have that port any more"
    return f"{holders}: `{command}`; port 0 picks a free one"
