"""The run as JSON; its fields are documented in ../README.md."""

from __future__ import annotations

from typing import Any

import msgspec

from dispatcher.rehearsal.rehearsed import Rehearsed


def view(run: Rehearsed) -> dict[str, Any]:
    return {
        "url": run.url,
        "seed": run.seed,
        "startedAt": run.started_at,
        "seconds": round(run.seconds, 3),
        "verified": run.verified,
        "fault": run.fault,
        "verdict": run.verdict,
        "counts": run.counts,
        "checks": run.results,
    }


def render(run: Rehearsed) -> str:
    return msgspec.json.format(msgspec.json.encode(view(run)), indent=2).decode() + "\n"
