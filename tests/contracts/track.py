"""What every track of events does (Track in receiver/api/event_stream.py).

An implementation's test derives a class from `TrackContract` and gives it a fixture `happenings`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from receiver.api.event_stream import Happened, Track


class Happenings(Protocol):
    """A track with no event yet, and what makes its events."""

    @property
    def track(self) -> Track: ...

    async def happen(self, number: int, *, elsewhere: bool = False) -> None:
        """So many events happen together, here or in another process."""

    async def forget(self, ids: Collection[int]) -> None:
        """These events are gone, as after retention or an erasure."""


async def read_on(track: Track, last: int, page: int) -> list[Happened]:
    """All events after `last`, a page at a time, each from where the page before ended."""
    found: list[Happened] = []
    while events := await track.after(found[-1].id if found else last, page):
        assert len(events) <= page
        assert events[0].id > (found[-1].id if found else last), "it would never end"
        found += events
    return found


def ids(events: Collection[Happened]) -> list[int]:
    return [event.id for event in events]


class TrackContract:
    async def test_nothing_happened(self, happenings: Happenings) -> None:
        """A new track stands at 0 and has nothing to tell."""
        assert await happenings.track.newest() == 0
        assert list(await happenings.track.after(0, 10)) == []

    async def test_page_by_page(self, happenings: Happenings) -> None:
        """Each event is told once, in the order in which it happened, not more than asked for."""
        await happenings.happen(5)
        await happenings.happen(2, elsewhere=True)
        track = happenings.track

        told = ids(await read_on(track, 0, 3))

        assert len(told) == 7
        assert told == sorted(set(told))
        assert told[0] > 0
        assert ids(await track.after(0, 3)) == told[:3]
        assert await track.newest() == told[-1]

    async def test_goes_on(self, happenings: Happenings) -> None:
        """Whoever comes back with the last id gets what happened since, and only that."""
        track = happenings.track
        await happenings.happen(3)
        last = await track.newest()
        assert list(await track.after(last, 10)) == []

        await happenings.happen(2)

        told = ids(await track.after(last, 10))
        assert len(told) == 2
        assert told[-1] == await track.newest()
        assert ids(await track.after(told[0], 10)) == told[1:]

    async def test_gaps(self, happenings: Happenings) -> None:
        """Events that are gone are passed over, and do not end a reading."""
        track = happenings.track
        await happenings.happen(8)
        all = ids(await track.after(0, 10))
        await happenings.forget([all[0], *all[2:6]])

        assert ids(await read_on(track, 0, 2)) == [all[1], *all[6:]]
        assert ids(await track.after(all[3], 10)) == all[6:]

    async def test_ids_go_on_after_all_is_gone(self, happenings: Happenings) -> None:
        """When the newest events are gone, a later one is still newer for who has seen them."""
        track = happenings.track
        await happenings.happen(3)
        last = await track.newest()
        await happenings.forget(ids(await track.after(0, 10)))
        assert await track.newest() == last
        assert list(await track.after(0, 10)) == []

        await happenings.happen(1)

        assert len(await track.after(last, 10)) == 1

    async def test_misses_nothing_of_two_writers(self, happenings: Happenings) -> None:
        """While events happen in two processes, who reads on from the last id gets each once."""
        track = happenings.track
        writing = 2

        async def happen(elsewhere: bool) -> None:
            nonlocal writing
            for n in range(20):
                await happenings.happen(1 + n % 3, elsewhere=elsewhere)
            writing -= 1

        async def read() -> list[Happened]:
            found: list[Happened] = []
            ended = False
            while not ended:
                ended = not writing  # what happened before is read once more
                found += await read_on(track, found[-1].id if found else 0, 4)
            return found

        _, _, told = await asyncio.gather(happen(False), happen(True), read())

        assert ids(told) == ids(await read_on(track, 0, 1_000))
        assert len(told) == 2 * sum(1 + n % 3 for n in range(20))

    async def test_another_reader_starts_anywhere(self, happenings: Happenings) -> None:
        """Readers share nothing: a second one gets the same from its own id."""
        track = happenings.track
        await happenings.happen(6)
        told = await read_on(track, 0, 2)

        assert await read_on(track, told[2].id, 4) == told[3:]
        assert list(await track.after(10**18, 10)) == []
