"""One suite per protocol. Each runs over every implementation: `test_<suite>.py` names them."""

import pytest

pytest.register_assert_rewrite("tests.contracts.report_store", "tests.contracts.dispatch_queue")
