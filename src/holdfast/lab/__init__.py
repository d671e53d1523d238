"""The lab: what proves the rest. It stands beside the server; nothing below it knows it."""
