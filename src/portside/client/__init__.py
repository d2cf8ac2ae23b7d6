"""The client: dialling, piping, scanning."""
