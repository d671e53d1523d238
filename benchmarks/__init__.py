"""Measurements: what things cost, side by side; see README.md in this folder."""
