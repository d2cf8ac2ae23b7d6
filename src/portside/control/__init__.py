"""The control API of a running server, for consoles, scripts and Prometheus, in the server's own loop."""
