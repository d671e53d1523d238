"""Every fault of the simulator, on every protocol, with and without somebody to fail over to."""
