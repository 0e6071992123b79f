"""One callback, from the socket to the verdict on it."""
