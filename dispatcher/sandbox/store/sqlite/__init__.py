"""The sandbox's store in SQLite: every statement, and the migrations."""
