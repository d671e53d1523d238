"""Streams of models: their time limits, the gate before the first token, and what follows a cut."""
