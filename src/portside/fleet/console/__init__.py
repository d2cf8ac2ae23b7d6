"""The consoles of one server over a whole fleet, for reading alone: its API, made of what the agents have published."""
