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
    again = await stage.wires.exchange(f"{bucket}, again after its connection was cut", whole)
    return Evidence(exchanges=(again,), expected=_once(report.message_id, other.message_id))


async def _lost(stage: Stage) -> Evidence:
    """A whole push whose answer nobody reads, and the push once more."""
    report, other = stage.make.report(), stage.make.report()
    bucket = body([report, other])
    whole = stage.wires.head(bucket) + bucket.data
    async with stage.wires.open() as wire:
        await wire.send(whole)
        await wire.first_status(stage.plan.timeout.total_seconds())
    again = await stage.wires.exchange(f"{bucket}, again because the answer was lost", whole)
    return Evidence(exchanges=(again,), expected=_once(report.message_id, other.message_id))


def _once(*message_ids: str | None) -> tuple[Expected, ...]:
    return tuple(Expected(each or "", once=True) for each in message_ids)


CHECKS = (
    Check(
        name="cut-in-body",
        group="retries",
        asks="a push that was cut in the middle of its body is taken when it comes again, once",
        perform=_cut,
        judge=held,
        sameness=True,
        why="Half a bucket that was stored, or a lock that was kept, shows at the repetition.",
        rule=rules.REPEATED,
        mend="Touch nothing before the body is complete; store a bucket in one transaction.",
    ),
    Check(
        name="answer-lost",
        group="retries",
        asks="a push whose answer was lost is taken when it comes again, once",
        perform=_lost,
        judge=held,
        sameness=True,
        why="You stored it, the platform never heard so: the repetition must be a success.",
        rule=rules.REPEATED,
        mend="Answer 2xx to what you have already; never 409.",
    ),
)
