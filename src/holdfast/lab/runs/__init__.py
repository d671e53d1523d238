"""Playing scenarios: one run in its virtual time, many of them in processes, and what is measured of each."""
