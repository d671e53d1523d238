"""Virtual time: asyncio programs that run to their end without waiting, the same way every time."""
