"""What the service does in a second, told as ratios to a ceiling measured in the same run.

`python -m tests.benchmarks` prints one table (README.md beside this); each part runs alone too. The
tests here run short forms and assert that every report was counted, never how fast.
"""
