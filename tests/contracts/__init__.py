"""One suite per protocol, which knows no database. Each runs over every implementation.

Whoever writes a second one gives the suites a backend (as `sqlite_backend.py`, `queue_on_sqlite.py`
and `test_storage.py` do for SQLite), derives a class from each contract, and names the module after
the database: `tests/docs/test_rooms.py` lets no other module know one.
"""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{suite.name}" for suite in iter_modules(__path__)))
