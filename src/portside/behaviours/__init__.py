"""What a client gets back: one file a behaviour, each a ``server.behaviour.Behaviour``."""
