"""The classic failures of error handling itself, each as it goes wrong and as it goes right, in virtual time."""
