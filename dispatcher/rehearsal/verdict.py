"""What a check says in the end, and the result that the reports show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

Verdict = Literal["passed", "weak", "failed", "answered only", "not judged"]
"""`weak` works and will hurt one day. `answered only`: the answers were right, and whether the app
did the right thing cannot be seen without `--verify`. `not judged`: the check could not be made.
"""

VERDICTS: tuple[Verdict, ...] = ("failed", "weak", "passed", "answered only", "not judged")
"""In the order in which they matter."""

Measures = Mapping[str, float]
"""Numbers that were measured, by their JSON name with the unit: `p99Ms`."""


class Judgement(Struct, frozen=True):
    """A verdict and why, in a sentence that names what came."""

    verdict: Verdict
    text: str
    measures: Measures = {}


class Result(Struct, frozen=True, kw_only=True):
    """A check and what became of it. All texts are without control characters and credentials.

    `document` is where the provider's `rule` stands. `seconds` is how long the check took.
    `demand` says who sends such a thing (check.py).
    """

    check: str
    group: str
    asks: str
    verdict: Verdict
    text: str
    sent: tuple[str, ...]
    came: tuple[str, ...]
    why: str
    rule: str
    document: str
    mend: str
    seconds: float
    measures: Measures = {}
    demand: str = "provider"

    def __str__(self) -> str:
        """All of it, as an assertion in a test shows it."""
        lines = [f"{self.check}: {self.verdict}: {self.text}"]
        lines += [f"  sent  {line}" for line in self.sent]
        lines += [f"  came  {line}" for line in self.came]
        lines += [f"  why   {self.why}", f"  rule  {self.rule} ({self.document})"]
        return "\n".join([*lines, f"  mend  {self.mend}"])


def tally(results: Iterable[Result]) -> dict[Verdict, int]:
    """How many results there are of each verdict, the worst first."""
    found = Counter(result.verdict for result in results)
    return {verdict: found[verdict] for verdict in VERDICTS}
