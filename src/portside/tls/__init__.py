"""TLS without I/O: one engine for the server, the client and the upstream leg of the relay, and its contexts."""
