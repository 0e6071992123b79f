"""The store of reports in SQLite: every SQL statement of the receiver."""
