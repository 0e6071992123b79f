"""A report as the API and the command line show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from receiver.answers import Count, Id, Instant, Next, timestamp
from receiver.api.provider import ITEM
from receiver.dlr.model import Format, Generation
from receiver.store.base import StoredReport


class ReportAnswer(Struct, frozen=True, rename="camel"):
    id: Id
    received_at: Instant
    source: str
    format: Format
    generation: Annotated[Generation | None, Meta(description="null: nothing told it")]
    final: bool
    duplicates: Count
    report: Annotated[Raw, Meta(extra_json_schema=ITEM)]
    received: (
        Annotated[
            str | None,
            Meta(
                description="the item as it came, only with `received=true`; null when it was not"
                " kept"
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
            **more,
        )


class ReportPage(Struct, frozen=True):
    reports: Sequence[ReportAnswer]
    next: Next
