"""The asynchronous Python API; ``portside`` itself imports what is asked for."""
