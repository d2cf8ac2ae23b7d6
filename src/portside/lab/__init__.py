"""Conditions of TCP made for real on this machine: a course that runs, and a test of rules.

1. A condition (``conditions/``, one file each) starts roles, such as a server that never closes and its clients, and
   tells what to look at and how to know that the condition is there. ``registry.py`` lists them.
2. A role is a child process (``bench.py``) with real sockets (``role.py``). It dies with the lab, however that ends.
3. What needs settings or packet filters that an ordinary user may not have gets a network namespace of its own
   (``isolation.py``): nothing of the machine is changed.
4. All sockets but a few are made so that closing them resets the connection (SO_LINGER of 0 seconds): nothing is left
   in TIME_WAIT, not even after SIGKILL.
"""
