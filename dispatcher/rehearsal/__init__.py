"""Does this webhook survive? Checks that push to a URL what production will push, and judge.

As a command: `dlr rehearse URL`. In a test suite of your own:

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_our_webhook(check, url):
        result = rehearse_one(check, Target(url=url))
        assert result.verdict != "failed", result
"""

from __future__ import annotations

from dispatcher.rehearsal.check import Check
from dispatcher.rehearsal.checks import CHECKS, select
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.run import Rehearsal, rehearse, rehearse_one
from dispatcher.rehearsal.target import Target
from dispatcher.rehearsal.verdict import Result, Verdict
from dispatcher.rehearsal.verify import CannotVerify, Verify, verify_of

__all__ = [
    "CHECKS",
    "CannotVerify",
    "Check",
    "Plan",
    "Rehearsal",
    "Result",
    "Target",
    "Verdict",
    "Verify",
    "rehearse",
    "rehearse_one",
    "select",
    "verify_of",
]
