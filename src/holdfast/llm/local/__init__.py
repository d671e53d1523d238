"""The local embedder: all-MiniLM-L6-v2, built on this machine and run by onnxruntime, with no key and no service."""
