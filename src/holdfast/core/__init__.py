"""Resilience policies, the pipeline that composes them, and what they stand on: clock, events, classification, ports.

Standard library only. The public names are also at the top of the package (``import holdfast as hf``).
"""
