"""Which libraries pass the conformance suite for policies: ``python -m benchmarks.conformance``."""
