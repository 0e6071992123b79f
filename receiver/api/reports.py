"""A report as the API and the command line show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from receiver.answers import Count, Id, Instant, Next, timestamp
from receiver.api.provider import ITEM
from receiver.dlr.model import Format, Generation
from receiver.dlr.statuses import names_two_groups
from receiver.store.base import StoredReport


class ReportAnswer(Struct, frozen=True, rename="camel"):
    id: Id
    received_at: Instant
    source: str
    format: Format
    generation: Annotated[Generation | None, Meta(description="null if the report does not tell")]
    final: bool
    duplicates: Count
    report: Annotated[Raw, Meta(extra_json_schema=ITEM)]
    status_conflict: Annotated[
        bool,
        Meta(
            description="groupId and groupName of the status contradict each other; the number"
            " is used"
        ),
    ]
    received: (
        Annotated[
            str | None,
            Meta(
                description="The item as it was received, only with `received=true`; null if"
                " it was not kept"
            ),
        ]
        | UnsetType
    ) = UNSET

    @classmethod
    def of(cls, stored: StoredReport, **more: Any) -> Self:
        """`more` are the fields that it has beyond those of a stored report."""
        return cls(
            id=stored.id,
            received_at=timestamp(stored.received_at),
            source=stored.source,
            format=stored.format,
            generation=stored.generation,
            final=stored.final,
            duplicates=stored.duplicates,
            report=Raw(stored.item),
            status_conflict=_has_conflict(stored.item),
            **more,
        )


class _Group(Struct, rename="camel"):
    group_id: int | None = None
    group_name: str | None = None


class _Item(Struct):
    status: _Group | None = None


_read = msgspec.json.Decoder(_Item).decode
_NO_GROUP = _Group()


def _has_conflict(item: bytes) -> bool:
    """Of an item as it is stored: only two fields of it are read."""
    group = _read(item).status or _NO_GROUP
    return names_two_groups(group.group_id, group.group_name)


class ReportPage(Struct, frozen=True):
    reports: Sequence[ReportAnswer]
    next: Next
