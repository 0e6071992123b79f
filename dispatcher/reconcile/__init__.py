"""Compares the store with what the provider itself knows of its messages, and mends the store."""
