"""One HTTP try."""
