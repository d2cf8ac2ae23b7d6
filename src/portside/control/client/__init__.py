"""Clients of the control API; nothing of the server or of the web stack is imported, but for httptools' parser."""
