"""Which reports go into which push, and its bytes."""
