"""Puts the parts together: one file a command."""
