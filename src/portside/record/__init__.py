"""Recordings: all events and bytes of connections, on disk (see ``docs/recording.md``)."""
