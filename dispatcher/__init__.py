"""Brings reports to customers, at least once."""
