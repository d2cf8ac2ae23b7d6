"""What is measured inside of a process of its own: each prints a JSON object of times in milliseconds."""
