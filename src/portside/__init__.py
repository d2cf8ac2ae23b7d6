"""Portside: a TCP endpoint you can see into."""

__version__ = "0.1.0"
