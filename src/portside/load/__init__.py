"""Load on a TCP server, and what can honestly be said of its answers: ``portside load``."""
