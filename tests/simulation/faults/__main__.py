"""`python -m tests.simulation.faults SEED`: the whole story of a seed, and its digest."""

from __future__ import annotations

import sys

from tests.simulation.faults.plan import plan_of
from tests.simulation.faults.trace import Violation
from tests.simulation.faults.world import play


def main() -> int:
    seed = int(sys.argv[1])
    print(plan_of(seed))
    try:
        trace = play(seed, keep=None)
    except Violation as violation:
        print(violation)
        return 1
    print(*trace.lines, sep="\n")
    print(trace.digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
