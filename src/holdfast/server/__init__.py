"""The service over HTTP, and nothing but HTTP: every decision is the engine's."""
