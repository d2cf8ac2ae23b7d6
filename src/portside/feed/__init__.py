"""Events on their way to those who watch: fan-out, sinks, one renderer a format."""
