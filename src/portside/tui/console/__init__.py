"""The terminal console of a server: a client of the control API alone, so that near and far servers look alike."""
