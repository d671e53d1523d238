"""Faults on purpose, in a running engine: to see what its policies do before a real failure shows it.

``engine.injections`` is the switchboard; it is there when the setting ``fault_injection`` is on. A fault stands where
the dependency itself would fail, inside the policies around it, so that retries, breakers, fallbacks and tiers answer
it as they answer a real one.
"""
