"""Connections that misbehave on purpose (``--fault``); ``link`` has the idea. Loaded only where it is asked for."""
