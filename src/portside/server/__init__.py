"""The engine: listeners, connections, admission. It knows nothing of how things are shown."""
