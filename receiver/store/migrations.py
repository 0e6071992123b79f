"""The steps of a database's schema: numbered files of SQL that ship inside a package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from receiver.store.base import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a part's schema. Steps are numbered from 1 and only ever go forward."""

    part: str
    number: int
    name: str
    sql: str


def migrations_of(package: str, *, part: str) -> list[Migration]:
    """The migrations shipped in `package`'s folder `migrations/`, in order.

    `part` is the name under which databases remember how far they have come. It stays when the
    package moves: a new name would have everything applied once more.
    """
    folder = files(package).joinpath("migrations")
    steps = [_migration(part, entry) for entry in folder.iterdir() if entry.name.endswith("sql")]
    if len({step.number for step in steps}) < len(steps):
        raise ValueError(f"{package}: two migrations have one number: one would never be applied")
    return sorted(steps, key=lambda step: step.number)


def _migration(part: str, entry: Traversable) -> Migration:
    found = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
    if found is None:
        raise ValueError(f"{entry.name}: a migration is named 0001_what_it_does.sql")
    return Migration(part, int(found[1]), found[2], entry.read_text("utf-8"))


def is_missing(step: Migration, of: Iterable[Migration], versions: Mapping[str, int]) -> bool:
    """Whether a database whose parts are at `versions` still needs this step. Raises
    StoreUnavailable when the database is newer than this program, which knows the steps `of`."""
    version = versions.get(step.part, 0)
    newest = max(other.number for other in of if other.part == step.part)
    if version > newest:
        raise StoreUnavailable(
            f"the database is at {step.part} {version}, this program knows {newest}: upgrade dlr"
        )
    return version < step.number
