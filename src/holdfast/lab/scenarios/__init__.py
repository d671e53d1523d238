"""Scenarios as data: who asks how much, what fails when, and what it is measured by. The shipped ones are TOML."""
