"""Mutation testing of the core: change one thing in a policy at a time, and see whether a test notices."""
