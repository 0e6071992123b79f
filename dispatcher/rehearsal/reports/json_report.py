"""The run as JSON; its fields are documented in ../REHEARSE.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dispatcher.rehearsal.rehearsed import Rehearsed
from receiver.shown import shown_json

if TYPE_CHECKING:
    from dispatcher.rehearsal.drill.drilled import Drilled


def to_dict(run: Rehearsed) -> dict[str, Any]:
    drill = {} if run.drill is None else {"drill": _drill(run.drill)}
    return {
        "url": run.url,
        "seed": run.seed,
        "startedAt": run.started_at,
        "seconds": round(run.seconds, 3),
        "verified": run.verified,
        "fault": run.fault,
        "note": run.note,
        "verdict": run.verdict,
        "counts": run.counts,
        "checks": run.results,
        **drill,
    }


def _drill(drilled: Drilled) -> dict[str, Any]:
    from dispatcher.simulation.timeline import to_dict as timeline_to_dict

    return {
        "story": drilled.story,
        "speed": drilled.speed,
        "notes": drilled.notes,
        "exhausted": drilled.exhausted,
        "seenAgain": drilled.seen_again,
        "simulated": drilled.simulated and timeline_to_dict(drilled.simulated),
        "rehearsed": timeline_to_dict(drilled.rehearsed),
    }


def render(run: Rehearsed) -> str:
    text = msgspec.json.format(msgspec.json.encode(to_dict(run)), indent=2).decode()
    return shown_json(text) + "\n"
