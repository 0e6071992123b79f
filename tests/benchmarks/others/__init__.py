"""What others would use for the same, beside `dlr`: extras of the benchmarks.

Their packages are the group `bench` in pyproject.toml, and Debian's `redis-server`. Jasmin pins
versions that do not go with ours, so it has an environment of its own, named by `JASMIN_PYTHON`.
What is missing is left out, and the table says so.
"""
