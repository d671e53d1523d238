"""``holdfast chat``: an assistant in the terminal.

The engine runs on an event loop in a thread of its own, so that what it does by itself (probes, writing conversations)
goes on while somebody types. The main thread reads lines and takes Ctrl-C.
"""
