"""The engine's doors in the lab: blocking work and HTTP, in process and in virtual time."""
