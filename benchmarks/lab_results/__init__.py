"""What the resilience is worth, by the lab: the suite, outages under every profile, the matrix, one part left out."""
