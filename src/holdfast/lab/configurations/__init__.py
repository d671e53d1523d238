"""What can be compared: the service, the service without a part, profiles, and programs as others write them."""
