"""Caches of what the RAG service makes, on any backend of ``holdfast.state``."""
