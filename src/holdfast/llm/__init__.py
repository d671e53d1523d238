"""Language and embedding models: what they are (protocols), and the ways to reach them."""
