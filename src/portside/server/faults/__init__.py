"""Connections that misbehave on purpose (``--fault``); begin with ``link``. Loaded only where a fault is asked for."""
