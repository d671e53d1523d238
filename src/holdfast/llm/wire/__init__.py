"""The wire formats of providers, as pure functions of bytes: nothing here sends, waits or reads a clock."""
