"""The RAG service: ingest, search, answers."""
