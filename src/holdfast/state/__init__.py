"""State that processes may share: what a cache is (``base``), in this process (``memory``), in Redis (``redis``)."""
