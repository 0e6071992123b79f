"""The queue in SQLite: every SQL statement of the dispatcher."""
