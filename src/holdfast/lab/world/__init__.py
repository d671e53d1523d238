"""The whole service in virtual time: a production engine, simulated providers, faults, users, and a record of it."""
