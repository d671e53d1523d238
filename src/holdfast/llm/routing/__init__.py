"""Which provider answers: targets, keys and routes as data, and the choice among them."""
