"""What ``portside agent --metrics`` serves for Prometheus: the sockets and findings of a machine, and its agent."""
