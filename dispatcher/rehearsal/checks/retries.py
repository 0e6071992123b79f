"""Retries: the network fails in the middle, and the same push comes again."""

from __future__ import annotations

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import body
from dispatcher.rehearsal.check import Check, Evidence, Stage
from dispatcher.rehearsal.judges import held
from dispatcher.rehearsal.truth import Expected


async def _cut(stage: Stage) -> Evidence:
    """Half of a body, a cut connection, and the whole once more."""
    report, other = stage.make.report(), stage.make.report()
    bucket = body([report, other])
    whole = stage.wires.head(bucket) + bucket.data
    async with stage.wires.open() as wire:
        await wire.send(whole[: len(whole) - len(bucket.data) // 2])
    again = await stage.wires.exchange(f"{bucket}, repeated after its connection was cut", whole)
    return Evidence(exchanges=(again,), expected=_once(report.message_id, other.message_id))


async def _lost(stage: Stage) -> Evidence:
    """A whole push whose answer nobody reads, and the push once more."""
    report, other = stage.make.report(), stage.make.report()
    bucket = body([report, other])
    whole = stage.wires.head(bucket) + bucket.data
    async with stage.wires.open() as wire:
        await wire.send(whole)
        await wire.first_status(stage.plan.timeout.total_seconds())
    again = await stage.wires.exchange(f"{bucket}, repeated because the answer was lost", whole)
    return Evidence(exchanges=(again,), expected=_once(report.message_id, other.message_id))


def _once(*message_ids: str | None) -> tuple[Expected, ...]:
    return tuple(Expected(each or "", once=True) for each in message_ids)


CHECKS = (
    Check(
        name="cut-in-body",
        group="retries",
        asks=(
            "a push that was cut in the middle of its body is accepted when it is repeated,"
            " and counted once"
        ),
        perform=_cut,
        judge=held,
        sameness=True,
        why="If half a bucket was stored, or a lock was kept, the repetition fails.",
        rule=rules.REPEATED,
        mend="Do nothing before the body is complete, and store a bucket in one transaction.",
    ),
    Check(
        name="answer-lost",
        group="retries",
        asks="a push whose answer was lost is accepted when it is repeated, and counted once",
        perform=_lost,
        judge=held,
        sameness=True,
        why=(
            "You stored it, but the platform never received your answer, so the repetition"
            " must succeed."
        ),
        rule=rules.REPEATED,
        mend="Answer 2xx to reports that you already have; never 409.",
    ),
)
