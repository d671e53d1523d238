"""What users get while a dependency fails, and how soon the service is back: the production engine in virtual time."""
