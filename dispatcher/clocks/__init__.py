"""Where the time comes from, and what wakes the dispatcher."""
