"""The kernel's view of TCP: every socket of this machine, the processes that hold it, and its state and counters.

::

    from portside.kernel.materialize import to_sockets
    from portside.kernel.snapshot import snapshot

    seen = snapshot("state established and dport = :443")
    for socket in to_sockets(seen.table):
        print(socket.local, socket.remote, socket.owners)
"""
