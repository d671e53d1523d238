"""The addresses of the service, one small file each."""
