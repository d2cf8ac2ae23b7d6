"""The kernel's view of TCP: every socket of this machine, the processes that hold it, and its state and counters.

::

    seen = snapshot("state established and dport = :443")
    for socket in to_sockets(seen.table):
        print(socket.local, socket.remote, socket.owners)
"""
