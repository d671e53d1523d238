"""What the outside sees of the inside: logs and metrics, made of events."""
