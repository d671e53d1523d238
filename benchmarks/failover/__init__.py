"""A dead primary and a healthy second provider, over real sockets: Holdfast, and LiteLLM's Router beside it."""
