"""Customers' endpoints, from the settings file and from run time."""
