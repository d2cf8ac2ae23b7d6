"""What is asked about all machines of a fleet: messages from JetStream, the state they add up to, and its tables."""
