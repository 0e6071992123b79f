"""How much an endpoint is given at a time."""
