"""The client: dialling, proxies, the two directions, scans, programs. Blocking calls and no loop."""
