"""What the sandbox keeps: `base.py` says what its users need, `sqlite/` has it in SQLite."""
