"""How the stores grow: ingest, search, memory and disk at up to 200,000 chunks of synthetic documents."""
