"""What is told of a copy of a database: a backup, or one that was put back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

Watch = Callable[[float], bool]
"""Is told the share that is done, and says whether to go on."""


class CopyRefused(Exception):
    """Nothing was copied or changed; the text says why, and what to do."""


class CopyFailed(Exception):
    """The copy could not be made, or is not whole. Nothing of it is left."""


class CopyBrokenOff(Exception):
    """The watch said so. Nothing of the copy is left."""


class Copied(Struct, frozen=True):
    """A whole copy, which was checked. `newest` is when its newest report was received; `None`: it
    has no reports."""

    size: int
    reports: int
    newest: datetime | None


class Restored(Struct, frozen=True):
    """`former` is where the database that was there is now; `None`: there was none."""

    copied: Copied
    former: Path | None
