"""Many machines: the agent that each runs, and what is asked about all of them, over NATS JetStream."""
