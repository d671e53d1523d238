"""Answerers: from what a search found to a cited answer, or to an honest "I don't know"."""
