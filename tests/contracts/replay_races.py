"""What replays do when two processes write at the same instant, as queue_races.py has it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

import pytest

from tests.contracts.dispatch_queue import ACME, BETA, NOON, a_record
from tests.contracts.queue_races import Act, RacingBackend
from tests.contracts.replays import ReplayBackend, ReplayDesk


class RacingReplayBackend(RacingBackend, ReplayBackend, Protocol):
    pass


class ReplayRacesContract:
    @pytest.fixture
    async def desk(self, backend: RacingReplayBackend) -> ReplayDesk:
        await backend.queue.adopt([ACME, BETA])
        return ReplayDesk(backend)

    @pytest.mark.parametrize("feeds_first", [True, False])
    async def test_fed_while_its_endpoint_is_removed(
        self, backend: RacingReplayBackend, desk: ReplayDesk, feeds_first: bool
    ) -> None:
        """What was fed is cancelled, or nothing is fed: it would wait for ever."""
        reports = await desk.receive(2)
        replay = await desk.made(*reports)
        portion = desk.portion(replay, *reports)
        elsewhere = await backend.another_replays()

        def removes() -> Awaitable[None]:
            return backend.remove_endpoint("acme")

        if feeds_first:
            fed, _ = await backend.at_once(lambda: desk.replays.feed(portion, NOON), removes)
        else:
            _, fed = await backend.at_once(removes, lambda: elsewhere.feed(portion, NOON))

        assert fed is feeds_first
        states = [view.state for view in await desk.queue.dispatches()]
        assert states == (["cancelled"] * 2 if feeds_first else [])

    @pytest.mark.parametrize("returns_first", [True, False])
    async def test_a_dispatch_returns_while_its_replay_is_cancelled(
        self, backend: RacingReplayBackend, desk: ReplayDesk, returns_first: bool
    ) -> None:
        """It is cancelled, too."""
        replay = await desk.fed(2)
        (leased,) = await desk.claim(NOON, room=1)
        other, elsewhere = await backend.another_queue(), await backend.another_replays()
        record = a_record(leased)

        first: Act[Any]
        second: Act[Any]
        if returns_first:
            first = lambda: desk.queue.record([record])  # noqa: E731
            second = lambda: elsewhere.end(replay.id, "cancelled", NOON)  # noqa: E731
        else:
            first = lambda: desk.replays.end(replay.id, "cancelled", NOON)  # noqa: E731
            second = lambda: other.record([record])  # noqa: E731
        await backend.at_once(first, second)

        assert [view.state for view in await desk.queue.dispatches()] == ["cancelled"] * 2
        progress = await desk.now(replay)
        assert progress.state == "cancelled"

    async def test_two_feed(self, backend: RacingReplayBackend, desk: ReplayDesk) -> None:
        """One does."""
        reports = await desk.receive(2)
        replay = await desk.made(*reports)
        portion = desk.portion(replay, *reports)
        elsewhere = await backend.another_replays()

        fed = await backend.at_once(
            lambda: desk.replays.feed(portion, NOON), lambda: elsewhere.feed(portion, NOON)
        )

        assert fed == (True, False)
        assert len(await desk.queue.dispatches()) == 2
