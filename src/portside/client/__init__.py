"""The client: connecting, proxies, both directions, port scans, programs, replays. Blocking calls, no event loop."""
