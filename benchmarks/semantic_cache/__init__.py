"""How often the semantic cache is right, and how often it is wrong."""
