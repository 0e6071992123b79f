"""The store of reports in PostgreSQL: every SQL statement of the receiver."""
