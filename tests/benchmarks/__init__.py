"""What the service does in a second, told as ratios to a ceiling measured in the same run.

`python -m tests.benchmarks.ingest` (growth, push, claim, memory) prints a table. Absolute figures
move by 40 % with whatever else the machine does; a ratio counts only within one run, whose rounds
alternate between what is measured and its ceiling. `test_benchmarks.py` runs short forms and
asserts that every report was counted, never how fast.
"""
