"""HTTP: the provider's routes, and those for test suites."""
