"""The queue of dispatches in PostgreSQL: every SQL statement of the dispatcher."""
