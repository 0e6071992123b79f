"""Takes reports in. Imports nothing from `dispatcher`."""
