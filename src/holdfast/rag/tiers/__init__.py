"""Tiers of service: what each of them needs and does, which one the service is at, and how it climbs back."""
