"""Models with fail-over for code that exists: official SDKs, clients of httpx and httpx2, plain functions."""
