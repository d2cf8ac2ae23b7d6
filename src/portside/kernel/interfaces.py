"""The interfaces of a network namespace: their numbers mean something there only."""

import os
import socket

from portside.kernel.netns import Namespace
from portside.wire.escaping import escape_name


def interface_names(namespace: Namespace | None = None) -> dict[int, str]:
    """The name of each interface by its number, safe to show: root may give an interface nearly any bytes as its name.

    Raises NamespaceError where the namespace may not be entered.
    """
    found = namespace.run(socket.if_nameindex) if namespace else socket.if_nameindex()
    return {number: escape_name(os.fsencode(name)) for number, name in found}


def interface_number(name: str, namespace: Namespace | None = None) -> int:
    """The number of an interface. Raises OSError or ValueError where none has this name, and NamespaceError."""
    return namespace.run(lambda: socket.if_nametoindex(name)) if namespace else socket.if_nametoindex(name)
