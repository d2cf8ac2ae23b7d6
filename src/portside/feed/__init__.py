"""Delivery of events: fan-out to sinks, and one renderer for each output format."""
