"""A plugin of pytest: PostgreSQL breaks off each transaction that writes, and it is run again.

    python -m pytest -p tests.contracts.tries_twice_on_postgres tests/contracts -k ostgres

A deadlock or a serialisation failure does so. The function of a transaction must change nothing but
the database: whatever else it had counted or remembered would be so twice.
"""

from tests.postgres import BreakableDatabase

BreakableDatabase.tries_twice = True
