"""What policies cost a call, beside the peers: ``python -m benchmarks.policies``."""
