"""Behaviours: what a client gets back. One file for each, with a subclass of ``server.behaviour.Behaviour``."""
