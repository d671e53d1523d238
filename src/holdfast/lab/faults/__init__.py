"""Faults of dependencies as plans: what fails, how, when, and for which share of the calls."""
