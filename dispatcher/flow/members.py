"""The dispatchers of one database, as one of them sees them. Pure: it is told what the board says.

Each dispatcher has a notice on a board (a small table) that it alone writes. It reads all notices
with each of its looks. Nobody's clock is compared with another's:

- A dispatcher whose notice has not changed for SILENT, by the clock of whoever watches it, is taken
  for dead, and its notice is taken down.
- A dispatcher that has not renewed its notice for SURE, by its own clock, pushes nothing. SURE is
  so much shorter that it has stopped before anybody takes its share, even if one clock runs a
  quarter faster than the other.

Who joins or leaves changes the shares (share.py). The sum may never be more than is set, so shares
are lowered first. A notice says which dispatchers its writer has taken into account (`view`). One's
share is the least of those under all views that it had since all agreed the last time; when the
notices of all say the same view, the share under that view is in force. Pushes that are under way
cannot be lowered: `over` names the endpoints that have more of them than the new share, and until
they have ended nobody uses more places there than before.

Alone, a dispatcher has everything, and renews nothing: its looks are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dispatcher.flow.share import Limits, Serving, Share, least, ranked, share_of

RENEW_EVERY = timedelta(seconds=1)
SURE = timedelta(seconds=3)
SILENT = timedelta(seconds=5)
"""These three in the world's time."""


class Notice(Struct, frozen=True, omit_defaults=True):
    """What a dispatcher tells the others.

    `opened`: endpoints whose breaker it has open, except those that it only follows. `failing`: how
    many attempts have failed in a row there. `acknowledged`: endpoints that others have trouble
    with, and that have acknowledged a push of this one since.
    """

    number: int
    view: str = ""
    serves: Mapping[str, Limits] = {}
    over: Sequence[str] = ()
    opened: Sequence[str] = ()
    failing: Mapping[str, int] = {}
    acknowledged: Sequence[str] = ()


class Other(Struct, frozen=True):
    """Another dispatcher: its notice, and since when that has been up, by the clock here."""

    raw: bytes
    notice: Notice
    since: datetime


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Notice)


def encoded(notice: Notice) -> bytes:
    return _ENCODER.encode(notice)


def view_of(serving: Serving) -> str:
    """The same for the same dispatchers with the same endpoints, and for no others."""
    return blake2b(_ENCODER.encode(serving), digest_size=12).hexdigest()


class Members:
    """Who there is, and what this one's share is."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self.me = ""
        self.others: dict[str, Other] = {}
        self.news: frozenset[str] = frozenset()
        """Those of the others whose notice has changed since the look before."""
        self._serves: Mapping[str, Limits] = {}
        self.view = ""
        """The dispatchers and endpoints that it has taken into account."""
        self.changed = False
        """Whether shares may have changed; whoever has looked at them says that they have not."""
        self._views: list[Serving] = []  # since all agreed; the last is the present one
        self._held: dict[str, int] = {}  # places, of endpoints at which others have too many
        self._looked_at: datetime | None = None
        self._sure_from: datetime | None = None

    # --- what it is told -----------------------------------------------------------------------

    def joined(self, name: str, at: datetime) -> None:
        """It is a new one: it has no share until the others have taken it into account. `at`: just
        before its notice was put up."""
        self.me = name
        self.others, self._views, self._held = {}, [{}], {}
        self._sure_from, self._looked_at = at, None
        self.changed = True

    def serve(self, endpoints: Mapping[str, Limits]) -> None:
        """It works for these from now on."""
        self._serves = endpoints

    def see(self, board: Mapping[str, bytes], asked_at: datetime, now: datetime) -> bool:
        """The board said so when it was asked between these instants. False: its own notice is
        gone; then it has to join anew."""
        # While nobody looked, the others may have been unable to write.
        blind = self._looked_at is None or asked_at - self._looked_at > SURE * self._speed
        self._looked_at = now
        if self.me not in board:
            return False
        before, self.others = self.others, {}
        for name, raw in board.items():
            known = before.get(name)
            if name == self.me:
                continue
            if known is None or known.raw != raw:
                self.others[name] = Other(raw, _DECODER.decode(raw), now)
            else:
                self.others[name] = replace(known, since=now) if blind else known
        self.news = frozenset(
            name for name, other in self.others.items() if before.get(name) != other
        )
        if not self.others and self.is_sure(asked_at):
            self._sure_from = asked_at
        self._take_into_account()
        return True

    def renewed(self, at: datetime) -> None:
        """Its notice was renewed; `at` is just before."""
        self._sure_from = at

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step."""
        self.others = {
            name: replace(other, since=other.since + by) for name, other in self.others.items()
        }
        self._looked_at = self._looked_at and self._looked_at + by
        self._sure_from = self._sure_from and self._sure_from + by

    # --- what follows from it --------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        return not self.others and self._views == [self._serving()]

    @property
    def sure_until(self) -> datetime | None:
        """Until when its share holds if nothing is renewed. None: it has not joined."""
        return self._sure_from and self._sure_from + SURE * self._speed

    def is_sure(self, now: datetime) -> bool:
        return self.sure_until is not None and now <= self.sure_until

    def silent(self, now: datetime) -> list[tuple[str, bytes]]:
        """Those that are taken for dead, with their last notice."""
        longest = SILENT * self._speed
        return [(n, other.raw) for n, other in self.others.items() if now - other.since > longest]

    def share(self, endpoint: str) -> Share:
        """What it may use of the endpoint's limits, as long as it is sure."""
        share = least(share_of(endpoint, self.me, serving) for serving in self._views)
        held = self._held.get(endpoint)
        return share if held is None else replace(share, window=min(share.window, held))

    def decides(self, endpoint: str) -> str:
        """Who decides about the endpoint's breaker."""
        return next(iter(ranked(endpoint, self._serving())), self.me)

    def count(self, endpoint: str) -> int:
        """How many dispatchers work for the endpoint, this one included."""
        return len(ranked(endpoint, self._serving()))

    def _serving(self) -> Serving:
        others = {name: other.notice.serves for name, other in self.others.items()}
        return {**others, self.me: self._serves}

    def _take_into_account(self) -> None:
        """Lower at once; raise when the notices of all say the same view."""
        present, notices = self._serving(), [other.notice for other in self.others.values()]
        before = self._views, self._held
        if present != self._views[-1]:
            self._views = [*self._views, present]
            self.view = view_of(present)
        over = {name for notice in notices for name in notice.over}
        self._held = {name: places for name, places in self._held.items() if name in over}
        if len(self._views) > 1 and all(notice.view == self.view for notice in notices):
            held = {name: self.share(name).window for name in over}
            self._views, self._held = [present], held
        self.changed = self.changed or before != (self._views, self._held)
