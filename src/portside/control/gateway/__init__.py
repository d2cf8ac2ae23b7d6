"""The page in a process of its own: it asks the servers that it shows as any other client does."""
