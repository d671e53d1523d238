"""Where documents, words and vectors are kept: what a store is, and the embedded one (``sqlite``)."""
