"""What an agent has made and the stream has not: kept on disk until it is acknowledged.

A record goes from ``Journal.add`` into a message, into the ``Outbox`` (a database of SQLite), and from there by the
``Publisher`` into the stream.
"""
