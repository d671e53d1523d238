"""The RAG service without any framework: documents in, cited answers out."""
