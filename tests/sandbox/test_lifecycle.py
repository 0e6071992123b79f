"""The life of a message: which steps there are, when, and which of them are reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dispatcher.sandbox.messages.lifecycle import LATE, Life, Step, steps_of
from dispatcher.sandbox.messages.outcomes import Fate
from dispatcher.sandbox.messages.send import Delivery
from receiver.dlr.model import Status
from receiver.dlr.statuses import SMS_STATUSES, is_final

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

DELIVERED = (3, 5)
FATE = Fate(DELIVERED, "NO_ERROR", 2 * SECOND)
ALL = Delivery(intermediate=True)


def a_life(**changes: Any) -> Life:
    """Of a message that leaves at once and is delivered after two seconds."""
    life = Life(
        accepted_at=NOON,
        start_at=NOON,
        leaves_at=NOON,
        validity=48 * HOUR,
        delivery=Delivery(),
        fate=FATE,
    )
    return replace(life, **changes)


def names(life: Life, *, told: bool = False) -> list[str]:
    return [SMS_STATUSES[step.status] for step in steps_of(life) if step.told or not told]


def seconds(life: Life) -> list[float]:
    return [(step.at - NOON).total_seconds() for step in steps_of(life)]


def test_accepted_enroute_outcome() -> None:
    """A message is accepted, goes on its way, and then its fate is known."""
    life = a_life(leaves_at=NOON + 10 * SECOND)

    assert names(life) == ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]
    assert seconds(life) == [0, 10, 12]
    assert [step.state for step in steps_of(life)] == ["waiting", "enroute", "ended"]


@pytest.mark.parametrize(
    ("delivery", "told"),
    [
        (Delivery(), ["DELIVERED_TO_HANDSET"]),
        (ALL, ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]),
        (Delivery(intermediate=True, notify=False), []),
    ],
    ids=["final", "all", "nothing"],
)
def test_what_is_reported(delivery: Delivery, told: list[str]) -> None:
    """The outcome is reported, each step with intermediateReport, nothing with notify false."""
    assert names(a_life(delivery=delivery), told=True) == told


def test_validity_runs_out_on_its_way() -> None:
    """A message that has no outcome within its validity expires at its end."""
    life = a_life(fate=replace(FATE, after=3 * HOUR), validity=HOUR)

    assert names(life) == ["PENDING_ACCEPTED", "PENDING_ENROUTE", "EXPIRED_EXPIRED"]
    assert seconds(life)[-1] == 3600
    assert steps_of(life)[-1].error == "EC_VALIDITY_EXPIRED"


def test_validity_runs_out_while_it_waits() -> None:
    """A message that would leave after its validity never leaves."""
    life = a_life(leaves_at=NOON + 2 * HOUR, validity=HOUR)

    assert names(life) == ["PENDING_ACCEPTED", "EXPIRED_EXPIRED"]


def test_validity_counts_from_send_at() -> None:
    """A scheduled message does not use up its validity while it waits for its sendAt."""
    life = a_life(start_at=NOON + 5 * HOUR, leaves_at=NOON + 5 * HOUR, validity=HOUR)

    assert names(life)[-1] == "DELIVERED_TO_HANDSET"


def test_a_rejected_message_never_leaves() -> None:
    """What the platform rejects is not passed on to an operator before."""
    life = a_life(fate=replace(FATE, status=(5, 14)), delivery=ALL)

    assert names(life) == ["PENDING_ACCEPTED", "REJECTED_DESTINATION_BLOCKLISTED"]


def test_cancelled() -> None:
    """A cancelled message was not sent, whatever its fate would have been."""
    life = a_life(leaves_at=NOON + HOUR, cancelled_at=NOON + SECOND)

    assert names(life, told=True) == ["UNDELIVERABLE_NOT_SENT"]
    assert steps_of(life)[-1].error == "EC_MESSAGE_CANCELED"


def test_silence() -> None:
    """A message whose outcome is never told stays on its way, even when its validity is over."""
    life = a_life(fate=replace(FATE, told="never"))

    assert names(life) == ["PENDING_ACCEPTED", "PENDING_ENROUTE"]
    assert steps_of(life)[-1].state == "ended"


def test_overtaking() -> None:
    """An overtaken report is told after the final one, with the instant at which it happened."""
    steps = steps_of(a_life(fate=replace(FATE, told="late-enroute"), delivery=ALL))

    told = [step for step in steps if step.told]
    assert [SMS_STATUSES[step.status] for step in told] == [
        "PENDING_ACCEPTED",
        "DELIVERED_TO_HANDSET",
        "PENDING_ENROUTE",
    ]
    assert told[-1].at == told[1].at + LATE
    assert told[-1].done_at == NOON
    assert told[-1].late


def test_nothing_is_overtaken_without_intermediate_reports() -> None:
    """Who wants final reports only gets no late intermediate one."""
    life = a_life(fate=replace(FATE, told="late-enroute"))

    assert names(life, told=True) == ["DELIVERED_TO_HANDSET"]


def test_a_copy_says_the_same() -> None:
    """The second final report differs from the first in nothing that is told."""
    first, copy = (s for s in steps_of(a_life(fate=replace(FATE, told="twice"))) if s.told)

    assert (copy.status, copy.error, copy.done_at) == (first.status, first.error, first.done_at)
    assert copy.at == first.at + LATE
    assert copy.copy
    assert not first.copy


LIVES = st.builds(
    a_life,
    leaves_at=st.integers(0, 10**6).map(lambda n: NOON + n * SECOND),
    validity=st.integers(1, 48 * 3600).map(lambda n: n * SECOND),
    delivery=st.builds(Delivery, intermediate=st.booleans(), notify=st.booleans()),
    fate=st.builds(
        Fate,
        st.sampled_from(sorted(SMS_STATUSES)),
        st.just("NO_ERROR"),
        st.integers(0, 10**6).map(lambda n: n * SECOND),
        st.sampled_from(["once", "twice", "late-enroute", "never"]),
    ),
    cancelled_at=st.one_of(st.none(), st.just(NOON)),
)


def is_last_word(step: Step) -> bool:
    return is_final(Status(group_id=step.status[0], id=step.status[1]))


@given(LIVES)
def test_any_life(life: Life) -> None:
    """Whatever is asked for: steps ascend, begin with the acceptance, one final status at most is
    not a copy, no outcome is later than the validity, and nobody is told who wants no report."""
    steps = steps_of(life)

    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert steps[0].at == life.accepted_at
    assert steps[-1].state == "ended"
    assert sum(is_last_word(step) and not step.copy for step in steps) <= 1
    assert all(
        step.done_at <= life.start_at + life.validity
        for step in steps
        if not step.late and step is not steps[0]
    )
    assert life.delivery.notify or not any(step.told for step in steps)


@given(LIVES)
def test_intermediate_reports_add_and_change_nothing_else(life: Life) -> None:
    """With intermediateReport the same happens at the same instants, and more of it is told."""
    few = steps_of(replace(life, delivery=replace(life.delivery, intermediate=False)))
    many = steps_of(replace(life, delivery=replace(life.delivery, intermediate=True)))

    def told(steps: tuple[Step, ...]) -> set[tuple[datetime, tuple[int, int]]]:
        return {(step.at, step.status) for step in steps if step.told}

    assert told(few) <= told(many)
    assert {s.status for s in few} == {s.status for s in many}
