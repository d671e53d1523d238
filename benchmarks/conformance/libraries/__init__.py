"""Adapters of other libraries to the conformance suite: each uses its library as that one's documentation says."""
